"""An SNTP server that tells the time it is given, in one of several ways."""

import asyncio
from types import TracebackType
from typing import Self

_1900_TO_1970_S = 2208988800
# LI, version 4, mode 4; no warning, and clock not synchronised.
_GOOD, _ALARM = 0x24, 0xE4
BEHAVIOURS = (
    "right", "wrong_nonce", "stratum_0", "zero_time", "unsynchronised", "short", "silent",
)  # fmt: skip


class SntpServer(asyncio.DatagramProtocol):
    """`async with SntpServer(unix_s) as server:` answers on `port` as `behaviour` says."""

    def __init__(self, unix_s: int, behaviour: str = "right") -> None:
        assert behaviour in BEHAVIOURS
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self.port = 0
        self._unix_s = unix_s

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.requests.append(data)
        how = self.behaviour
        if how == "silent":
            return
        ntp_s = 0 if how == "zero_time" else self._unix_s + _1900_TO_1970_S
        nonce = bytes(8) if how == "wrong_nonce" else data[40:48]
        packet = bytes(
            (
                _ALARM if how == "unsynchronised" else _GOOD,
                0 if how == "stratum_0" else 2,
            )
        )
        packet += bytes(22) + nonce + bytes(8) + ntp_s.to_bytes(4, "big") + bytes(4)
        self._transport.sendto(packet[:47] if how == "short" else packet, address)
