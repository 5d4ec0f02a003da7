"""DTLS without sockets: sessions by address, and what anybody may send to the port."""

import asyncio
import base64
import random
from contextlib import suppress

import pytest
from mbedtls.tls import (
    ClientContext,
    DTLSConfiguration,
    DTLSVersion,
    HandshakeStep,
    WantReadError,
    WantWriteError,
)

from tools.hub.clock import HubClock
from tools.hub.events import Records
from tools.hub.store import Store
from tools.hub.transport import dtls
from tools.hub.transport.dtls import DtlsServer
from tools.pki import issue, make_authority

IDENTITY = "PRODUCTID1dev01"
KEY = base64.b64decode("lDZ6Uqt+I9E0wW7rvDUs7Q==")
AUTHORITY = make_authority("Test CA")
SERVER = issue(AUTHORITY, "server", ["localhost"], kind="ec")
HEADER_BYTES = 13


class Wire(asyncio.DatagramTransport):
    """The transport below a server: what it sends, by address."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def sendto(self, data, addr=None):
        self.sent.append((addr, data))

    def taken(self, address):
        found = [data for to, data in self.sent if to == address]
        self.sent = [each for each in self.sent if each[0] != address]
        return found

    def close(self):
        pass


class Desk:
    """A server, and what came through it: (peer's name, whom DTLS proved, datagram)."""

    def __init__(self, opening_timeout_s=20.0):
        self.received = []
        store = Store(":memory:")
        self.store = store
        self.server = DtlsServer(
            SERVER,
            lambda: [AUTHORITY.certificate_der],
            lambda identity: KEY if identity == IDENTITY else None,
            self._open,
            Records(store, HubClock()),
            opening_timeout_s,
        )
        self.wire = Wire()
        self.server.connection_made(self.wire)

    def _open(self, peer):
        def receive(datagram):
            self.received.append((peer.name, peer.proof.client_id, datagram))
            peer.send(b"answer to " + datagram)

        return receive

    def handshake_events(self):
        return self.store.query("SELECT detail FROM event WHERE kind = 'handshake'")


class Client:
    """A device at an address."""

    def __init__(self, desk, port, identity=IDENTITY, key=KEY):
        self.desk = desk
        self.address = ("127.0.0.1", port)
        self._configuration = DTLSConfiguration(
            pre_shared_key=(identity, key),
            validate_certificates=False,
            lowest_supported_version=DTLSVersion.DTLSv1_2,
        )
        self._session = ClientContext(self._configuration).wrap_buffers(None)

    def outgoing(self):
        data = bytes(self._session.peek_outgoing(65536))
        self._session.consume_outgoing(len(data))
        found = []
        while data:
            size = HEADER_BYTES + int.from_bytes(data[11:13], "big")
            found.append(data[:size])
            data = data[size:]
        return found

    def step(self):
        """Goes on as far as what came allows; what it wants to send."""
        try:
            while self._session._handshake_state is not HandshakeStep.HANDSHAKE_OVER:
                with suppress(WantWriteError):
                    self._session.do_handshake()
        except WantReadError:
            pass
        return self.outgoing()

    def feed(self, datagrams):
        for datagram in datagrams:
            self._session.receive_from_network(datagram)

    def connect(self, rounds=8, spoil=lambda data: [data]):
        """Whether it came through, with each of its datagrams spoilt."""
        for _ in range(rounds):
            for datagram in self.step():
                for each in spoil(datagram):
                    self.desk.server.datagram_received(each, self.address)
            self.feed(self.desk.wire.taken(self.address))
            if self._session._handshake_state is HandshakeStep.HANDSHAKE_OVER:
                return True
        return False

    def ask(self, text):
        self._session.write(text)
        for datagram in self.outgoing():
            self.desk.server.datagram_received(datagram, self.address)
        self.feed(self.desk.wire.taken(self.address))
        buffer = bytearray(2048)
        # Its stubs say bytes, which nothing can be read into.
        count = self._session.readinto(buffer, len(buffer))  # type: ignore[arg-type]
        return bytes(buffer[:count])


def in_loop(scenario):
    return lambda: asyncio.run(scenario())


@in_loop
async def test_sessions_are_told_apart_by_their_address():
    desk = Desk()
    clients = [Client(desk, port) for port in (5001, 5002, 5003)]
    for client in clients:
        assert client.connect()
    for client in reversed(clients):
        text = b"%d" % client.address[1]
        assert client.ask(text) == b"answer to " + text
    assert {proved for _, proved, _ in desk.received} == {IDENTITY}
    assert [name for name, _, _ in desk.received] == [f"127.0.0.1:{p}" for p in (5003, 5002, 5001)]


@in_loop
async def test_nothing_is_kept_of_who_shows_no_cookie():
    desk = Desk()
    (hello,) = Client(desk, 5001).step()
    for port in range(2000):
        desk.server.datagram_received(hello, ("127.0.0.1", 10_000 + port))
    assert not desk.server._opening and not desk.server._peers
    assert len(desk.wire.sent) == 2000
    assert all(len(data) <= len(hello) for _, data in desk.wire.sent), "an amplifier"


@in_loop
async def test_a_device_comes_back_by_its_port_and_the_old_session_ends_only_then():
    desk = Desk()
    first = Client(desk, 5001)
    assert first.connect()
    second = Client(desk, 5001)
    for _ in range(2):  # its hello, and with the cookie
        for datagram in second.step():
            desk.server.datagram_received(datagram, second.address)
        second.feed(desk.wire.taken(second.address))
    assert first.ask(b"still there") == b"answer to still there"
    assert second.connect()
    assert second.ask(b"back") == b"answer to back"
    assert len(desk.server._peers) == 1


@in_loop
async def test_a_doubled_handshake_starves_nobody():
    desk = Desk()
    client = Client(desk, 5001)
    assert client.connect(spoil=lambda data: [data, data])
    for number in range(5):
        text = b"%d" % number
        assert client.ask(text) == b"answer to " + text


@in_loop
async def test_unknown_devices_and_wrong_keys_get_no_session():
    for stranger in (("PRODUCTID1other", KEY), (IDENTITY, b"0123456789abcdef")):
        desk = Desk()
        client = Client(desk, 5001, *stranger)
        try:
            assert not client.connect()
        except Exception as error:  # the alert, as the client sees it
            assert "alert" in str(error).lower() or "fatal" in str(error).lower()
        assert not desk.server._peers and not desk.received
        (event,) = desk.handshake_events()
        assert stranger[0] in event[0] and KEY.hex() not in event[0]


def test_a_handshake_that_stalls_is_given_up(monkeypatch):
    monkeypatch.setattr(dtls, "_TICK_S", 0.01)

    async def scenario():
        desk = Desk(opening_timeout_s=0.05)
        client = Client(desk, 5001)
        client.connect(rounds=2)
        assert len(desk.server._opening) == 1
        await asyncio.sleep(0.3)
        assert not desk.server._opening and desk.server._ticking is None
        assert "not open within" in desk.handshake_events()[0][0]

    asyncio.run(scenario())


def test_sessions_and_handshakes_are_bounded(monkeypatch):
    monkeypatch.setattr(dtls, "MAX_SESSIONS", 3)
    monkeypatch.setattr(dtls, "MAX_OPENING", 2)

    async def scenario():
        desk = Desk()
        clients = [Client(desk, 5000 + number) for number in range(5)]
        for client in clients:
            assert client.connect()
        assert [address[1] for address in desk.server._peers] == [5002, 5003, 5004]
        for number in range(4):
            Client(desk, 6000 + number).connect(rounds=2)
        assert len(desk.server._opening) == 2
        desk.server.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(4))
def test_nothing_anybody_sends_ends_the_port(seed, sweep_full):
    """Whole handshakes with bytes changed, cut, doubled and swapped."""
    count = 2500 if sweep_full else 40

    async def scenario():
        desk = Desk()
        dice = random.Random(seed)

        def spoil(data):
            changed = bytearray(data)
            if dice.random() < 0.4:
                for _ in range(dice.randrange(1, 4)):
                    at = dice.randrange(len(changed)) if changed else 0
                    if dice.random() < 0.7 and changed:
                        changed[at] = dice.randrange(256)
                    else:
                        del changed[at:]
            out = [bytes(changed)]
            if dice.random() < 0.2:
                out.append(data)
            if dice.random() < 0.1:
                out.insert(0, dice.randbytes(dice.randrange(1500)))
            return out

        came_through = 0
        for number in range(count):
            client = Client(desk, 1024 + number % 50)
            try:
                came_through += client.connect(12, spoil)
            except Exception as error:  # what the client makes of its own spoilt talk
                assert type(error).__module__.startswith("mbedtls"), error
            desk.wire.sent.clear()
        assert came_through > 0
        assert len(desk.server._opening) <= dtls.MAX_OPENING
        honest = Client(desk, 60_000)
        assert honest.connect() and honest.ask(b"honest") == b"answer to honest"

    asyncio.run(scenario())
