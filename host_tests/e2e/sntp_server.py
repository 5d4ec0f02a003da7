"""An SNTP server that tells the time it is given, in one of several ways."""

from host_tests.e2e.datagram_server import DatagramServer

_1900_TO_1970_S = 2208988800
# LI, version 4, mode 4; no warning, and clock not synchronised.
_GOOD, _ALARM = 0x24, 0xE4
BEHAVIOURS = (
    "right", "wrong_nonce", "stratum_0", "zero_time", "unsynchronised", "short", "silent",
)  # fmt: skip


class SntpServer(DatagramServer):
    """`async with SntpServer(unix_s) as server:` answers on `port` as `behaviour` says."""

    def __init__(self, unix_s: int, behaviour: str = "right") -> None:
        super().__init__()
        assert behaviour in BEHAVIOURS
        self.behaviour = behaviour
        self.requests: list[bytes] = []
        self._unix_s = unix_s

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
        self.send(packet[:47] if how == "short" else packet, address)
