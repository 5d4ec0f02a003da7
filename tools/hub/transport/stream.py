"""A byte stream with a peer, and what its layers proved about that peer."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol


class StreamBroken(OSError):
    """A layer cannot go on: damaged, forbidden or missing bytes. The text says which rule."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Who the peer is, shown by TLS. `certificate_der` is None where a pre-shared key did it."""

    client_id: str
    certificate_der: bytes | None = field(default=None, repr=False)

    @property
    def by(self) -> str:
        return "psk" if self.certificate_der is None else "certificate"


class Stream(Protocol):
    """What a connection reads and writes, whatever layers it has."""

    @property
    def peer(self) -> str: ...
    @property
    def proof(self) -> Proof | None: ...
    async def read(self, limit: int) -> bytes:
        """Some bytes, empty at the end. Raises OSError."""
        ...

    def write(self, data: bytes) -> None:
        """Never blocks; see `unsent_bytes` and `drain`."""
        ...

    def unsent_bytes(self) -> int: ...
    async def drain(self) -> None: ...
    def close(self) -> None:
        """Say goodbye in every layer, and close once all is sent."""
        ...

    def abort(self) -> None: ...


class TcpStream:
    """The lowest layer."""

    proof: Proof | None = None

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        address = writer.get_extra_info("peername")
        self.peer = f"{address[0]}:{address[1]}" if address else ""

    async def read(self, limit: int) -> bytes:
        return await self._reader.read(limit)

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def unsent_bytes(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    async def drain(self) -> None:
        await self._writer.drain()

    def close(self) -> None:
        if not self._writer.is_closing():
            self._writer.close()

    def abort(self) -> None:
        self._writer.transport.abort()
