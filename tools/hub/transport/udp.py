"""Plain UDP, where nothing proves who sends. Only on request."""

import asyncio
import logging
from collections import OrderedDict

from tools.hub.transport.datagrams import Address, DatagramServer, Open, Receive, shown
from tools.hub.transport.stream import Proof

MAX_PEERS = 500
_log = logging.getLogger("hub")


class UdpPeer:
    """An address that something came from."""

    proof: Proof | None = None

    def __init__(self, transport: asyncio.DatagramTransport, address: Address) -> None:
        self.name = shown(address)
        self._transport = transport
        self._address = address

    def send(self, datagram: bytes) -> None:
        self._transport.sendto(datagram, self._address)


class UdpServer(DatagramServer):
    """Remembers the peers that were heard last."""

    def __init__(self, open_peer: Open) -> None:
        self._open_peer = open_peer
        self._peers: OrderedDict[Address, Receive] = OrderedDict()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        receive = self._peers.get(addr)
        if receive is None:
            receive = self._peers[addr] = self._open_peer(UdpPeer(self._transport, addr))
            if len(self._peers) > MAX_PEERS:
                self._peers.popitem(last=False)
        self._peers.move_to_end(addr)
        try:
            receive(data)
        except Exception:
            _log.exception("CoAP from %s", shown(addr))
