"""What the tests' own servers over UDP have in common: a port of their own while they are used."""

import asyncio
from types import TracebackType
from typing import Self


class DatagramServer(asyncio.DatagramProtocol):
    """`async with` it listens on `port` of 127.0.0.1, and answers by `send`."""

    def __init__(self) -> None:
        self.port = 0

    async def __aenter__(self) -> Self:
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, ("127.0.0.1", 0)
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
        await asyncio.sleep(0)  # it closes its socket in the next round

    @property
    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def send(self, data: bytes, address: tuple[str, int]) -> None:
        self._transport.sendto(data, address)
