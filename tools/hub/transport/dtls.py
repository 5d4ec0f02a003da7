"""DTLS over UDP: one port, many clients, each a peer once its handshake has proved it.

A client is told apart by its address. It is asked for a cookie first (RFC 6347, 4.2.1), so that a
forged address costs no memory. A ClientHello from an address that has a session begins another
beside it, which takes its place when it is done: a device that lost power may come back by the
same port, and who forges its address ends nothing.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence

from tools.hub import events
from tools.hub.events import Records
from tools.hub.transport.datagrams import Address, DatagramServer, Open, Receive, shown
from tools.hub.transport.dtls_mbedtls import CookieWanted, DtlsContext, DtlsSession
from tools.hub.transport.engine import FindKey, TlsFailed
from tools.hub.transport.stream import Proof
from tools.pki import Credential

# A session holds 100 KiB; those that were silent longest go first.
MAX_SESSIONS = 500
MAX_OPENING = 100
_TICK_S = 0.2
# Where a datagram has its content type, epoch and handshake type, and a ClientHello its cookie.
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_TYPE_AT, _SESSION_ID_AT = 13, 59
_log = logging.getLogger("hub")


class DtlsPeer:
    """A client whose handshake is done."""

    def __init__(self, name: str, session: DtlsSession, send: Callable[[bytes], None]) -> None:
        self.name = name
        self.session = session
        self.proof: Proof | None = session.proof()
        self.receive: Receive = lambda _datagram: None
        self._send = send

    def send(self, datagram: bytes) -> None:
        self.session.encrypt(datagram)
        self.flush()

    def flush(self) -> None:
        for datagram in self.session.outgoing():
            self._send(datagram)


class DtlsServer(DatagramServer):
    """Trusts clients' certificates of the `authorities` (DER), which may grow meanwhile."""

    def __init__(
        self,
        credential: Credential,
        authorities: Callable[[], Sequence[bytes]],
        find_key: FindKey,
        open_peer: Open,
        records: Records,
        opening_timeout_s: float,
    ) -> None:
        self._credential = credential
        self._authorities = authorities
        self._find_key = find_key
        self._trusted: Sequence[bytes] = authorities()
        self._context = DtlsContext(credential, self._trusted, find_key)
        self._open_peer = open_peer
        self._records = records
        self._opening_timeout_s = opening_timeout_s
        self._door: DtlsSession | None = None
        self._opening: dict[Address, tuple[DtlsSession, float]] = {}
        self._peers: OrderedDict[Address, DtlsPeer] = OrderedDict()
        self._ticking: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        for peer in self._peers.values():
            peer.session.say_goodbye()
            peer.flush()
        super().stop()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        try:
            opening = self._opening.get(addr)
            if _is_client_hello(data) and not (opening and _has_cookie(data)):
                self._greet(data, addr)
                return
            # With a session beside one that opens, both are given it: only one can read it.
            if addr in self._peers:
                self._peers[addr].session.feed(data)
                self._deliver(addr)
            if opening is not None and addr in self._opening:
                opening[0].feed(data)
                self._shake_hands(addr, opening[0])
        except Exception:
            _log.exception("DTLS from %s", shown(addr))

    def _greet(self, data: bytes, addr: Address) -> None:
        door = self._door = self._door or self._new_session()
        try:
            door.greet(repr(addr).encode(), data)
        except CookieWanted:
            self._send_all(door, addr)
            return
        except TlsFailed as failed:
            self._door = None
            self._send_all(door, addr)
            self._fail(addr, str(failed))
            return
        self._door = None
        self._send_all(door, addr)
        if len(self._opening) >= MAX_OPENING and addr not in self._opening:
            _log.warning("coap: refused, %d are opening", len(self._opening))
            return
        deadline_s = asyncio.get_running_loop().time() + self._opening_timeout_s
        self._opening[addr] = door, deadline_s
        self._tick_later()

    def _new_session(self) -> DtlsSession:
        authorities = self._authorities()
        if len(authorities) != len(self._trusted):
            self._trusted = authorities
            self._context = DtlsContext(self._credential, authorities, self._find_key)
        return self._context.session()

    def _shake_hands(self, addr: Address, session: DtlsSession) -> None:
        try:
            done = session.shake_hands()
        except CookieWanted:
            done = False
        except TlsFailed as failed:
            del self._opening[addr]
            self._fail(addr, str(failed))
            return
        finally:
            self._send_all(session, addr)
        if done:
            del self._opening[addr]
            self._peers[addr] = peer = DtlsPeer(
                shown(addr), session, lambda datagram: self._transport.sendto(datagram, addr)
            )
            peer.receive = self._open_peer(peer)
            if len(self._peers) > MAX_SESSIONS:
                _, silent = self._peers.popitem(last=False)
                silent.session.say_goodbye()
                silent.flush()
            if addr in self._peers:
                self._deliver(addr)

    def _deliver(self, addr: Address) -> None:
        peer = self._peers[addr]
        self._peers.move_to_end(addr)
        received = peer.session.decrypt()
        peer.flush()
        if received is None:
            del self._peers[addr]
            return
        for datagram in received:
            peer.receive(datagram)

    def _send_all(self, session: DtlsSession, addr: Address) -> None:
        for datagram in session.outgoing():
            self._transport.sendto(datagram, addr)

    def _tick_later(self) -> None:
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        """Repeat what was not answered, and give up who takes too long."""
        self._ticking = None
        now_s = asyncio.get_running_loop().time()
        for addr, (session, deadline_s) in list(self._opening.items()):
            if now_s > deadline_s:
                del self._opening[addr]
                if addr not in self._peers:  # or it was the echo of a handshake that is done
                    self._fail(addr, f"not open within {self._opening_timeout_s:g} s")
            else:
                self._shake_hands(addr, session)
        if self._opening:
            self._tick_later()

    def _fail(self, addr: Address, reason: str) -> None:
        self._records.event(
            events.HANDSHAKE, None, transport="coap", peer=shown(addr), reason=reason
        )


def _is_client_hello(data: bytes) -> bool:
    return (
        len(data) > _SESSION_ID_AT
        and data[0] == _HANDSHAKE
        and data[3:5] == b"\0\0"
        and data[_TYPE_AT] == _CLIENT_HELLO
    )


def _has_cookie(data: bytes) -> bool:
    cookie_at = _SESSION_ID_AT + 1 + data[_SESSION_ID_AT]
    return len(data) > cookie_at and data[cookie_at] > 0
