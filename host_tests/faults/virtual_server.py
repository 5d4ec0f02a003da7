"""An MQTT server in virtual time, with kept sessions, that believes nothing: every message that
comes to it is noted in the ledger."""

from host_tests.unit.iothub import peer

MAX_OWED = 150  # QoS 1 messages kept for a device, as in the cloud
_CLEAN_SESSION = 2


class _Session:
    """What the server keeps of a device: its filters, and the QoS 1 messages it is owed, each
    [packet id, packet, whether it was sent before]."""

    def __init__(self):
        self.filters = []
        self.owed = []
        self.connection = None
        self.last_id = 0


class VirtualServer:
    """`refusal`: the CONNACK code that logins get, 0 for a good one. `ledger`
    (virtual_ledger.py) hears what arrives and what is forgotten."""

    def __init__(self, ledger):
        self.refusal = 0
        self.logins = 0
        self.ledger = ledger
        self._sessions = {}

    def accept(self, link):
        """A link is up."""
        link.server = _Connection(self, link)

    def log_in(self, connection, client_id, clean):
        """(session, whether it was present)"""
        session = self._sessions.get(client_id)
        present = session is not None and not clean
        if not present:
            if session is not None:
                self.ledger.forgotten += len(session.owed)
            session = self._sessions[client_id] = _Session()
        if session.connection is not None:
            session.connection.link.close_later()
        session.connection = connection
        self.logins += 1
        return session, present

    def forget_sessions(self):
        """What a server does that lost its memory; it ends all links."""
        for session in list(self._sessions.values()):
            self.ledger.forgotten += len(session.owed)
            if session.connection is not None:
                session.connection.link.close_later()
        self._sessions.clear()

    def send(self, client_id, topic, payload):
        """A QoS 1 message for a device, now or when it comes. False: there is no session that
        wants it, or it holds too much."""
        session = self._sessions.get(client_id)
        if session is None or topic not in session.filters or len(session.owed) >= MAX_OWED:
            return False
        session.last_id = session.last_id % 65535 + 1
        owed = [session.last_id, peer.message(topic, payload, session.last_id), False]
        session.owed.append(owed)
        if session.connection is not None:
            session.connection.send_owed(owed)
        return True


class _Connection:
    """The server's end of a link."""

    def __init__(self, server, link):
        self.link = link
        self._server = server
        self._session = None
        self._received = b""

    def received(self, data):
        self._received += data
        while self.link.alive:
            size = _packet_size(self._received)
            if not size or size > len(self._received):
                return
            [(first, body)] = peer.split(self._received[:size])
            self._received = self._received[size:]
            self._packet(first, body)

    def broken(self):
        if self._session is not None and self._session.connection is self:
            self._session.connection = None

    def send_owed(self, owed):
        """A message for the device, with DUP when it went out before."""
        packet = owed[1]
        if owed[2]:
            packet = bytes((packet[0] | 8,)) + packet[1:]
        owed[2] = True
        self.link.send_down(packet)

    def _packet(self, first, body):
        send = self.link.send_down
        kind = first & 0xF0
        if first == peer.CONNECT:
            self._connect(body)
        elif kind == peer.PUBLISH:
            _, payload, number, dup = peer.published(first, body)
            if number:
                self._server.ledger.arrive(payload, dup)
                send(peer.puback(number))
        elif first == peer.PUBACK:
            number = peer.packet_id(body)
            self._session.owed = [owed for owed in self._session.owed if owed[0] != number]
        elif first == peer.SUBSCRIBE:
            wanted = peer.filters(first, body)
            for pattern, _ in wanted:
                if pattern not in self._session.filters:
                    self._session.filters.append(pattern)
            send(peer.suback(peer.packet_id(body), *[qos for _, qos in wanted]))
        elif first == peer.PINGREQ:
            send(peer.PINGRESP)
        else:
            raise AssertionError(f"the device sent 0x{first:02x}")

    def _connect(self, body):
        if self._server.refusal:
            self.link.send_down(peer.connack(self._server.refusal))
            self.link.close_later()
            return
        # Protocol name and level are 7 bytes, then the flags, keepalive, and the client id.
        clean = bool(body[7] & _CLEAN_SESSION)
        client_id = body[12 : 12 + (body[10] << 8 | body[11])]
        self._session, present = self._server.log_in(self, client_id, clean)
        self.link.send_down(peer.connack(0, 1 if present else 0))
        for owed in self._session.owed:
            self.send_owed(owed)


def _packet_size(data):
    """Bytes of the packet that `data` begins with; 0 while that is not known."""
    size = 0
    for i in range(1, min(len(data), 5)):
        size |= (data[i] & 127) << 7 * (i - 1)
        if data[i] < 128:
            return 1 + i + size
    return 0
