"""Datagrams with a peer: what CoAP is spoken over, secured or not."""

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from tools.hub.transport.stream import Proof

# An address as the system has it: host, port, and two numbers more for IPv6.
Address = tuple[str | int, ...]
Receive = Callable[[bytes], None]


class Peer(Protocol):
    """Who sends. `proof` is None where nothing proves who that is."""

    @property
    def name(self) -> str: ...
    @property
    def proof(self) -> Proof | None: ...
    def send(self, datagram: bytes) -> None: ...


# Called for a new peer; gives what its datagrams are to be handed to.
Open = Callable[[Peer], Receive]


class DatagramServer(asyncio.DatagramProtocol):
    """What is behind a UDP port."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # It is one, but not by its class.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def stop(self) -> None:
        self._transport.close()

    def error_received(self, exc: Exception) -> None:
        """A client is gone, and forgotten in its turn."""


def shown(address: Address) -> str:
    return f"{address[0]}:{address[1]}"
