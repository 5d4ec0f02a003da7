"""A raw MQTT client for tests: writes bytes, reads packets, hides nothing. Shares no code with
either side it judges.
"""

import contextlib
import socket
import struct
from typing import Any, NamedTuple

from host_tests.peers.broker_wires import TIMEOUT_S, Wire, tcp

CONNACK, PUBLISH, PUBACK, PUBREC, SUBACK, UNSUBACK, PINGRESP = 2, 3, 4, 5, 9, 11, 13
PINGREQ_BYTES = b"\xc0\x00"
DISCONNECT_BYTES = b"\xe0\x00"


class Login(NamedTuple):
    """What a CONNECT carries for one device."""

    product_id: str
    device_name: str
    user_name: str | None
    password: str | None

    @property
    def client_id(self) -> str:
        return self.product_id + self.device_name

    def topic(self, name: str) -> str:
        return f"{self.product_id}/{self.device_name}/{name}"


class Packet(NamedTuple):
    kind: int
    flags: int
    body: bytes


class Message(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    dup: bool
    packet_id: int


def field(data: bytes | str) -> bytes:
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">H", len(data)) + data


def packet(first: int, body: bytes) -> bytes:
    length, encoded = len(body), b""
    while True:
        length, digit = length >> 7, length & 0x7F
        encoded += bytes([digit | 0x80 if length else digit])
        if not length:
            return bytes([first]) + encoded + body


def connect_bytes(
    login: Login,
    clean: bool = True,
    keepalive_s: int = 60,
    level: int = 4,
    name: str = "MQTT",
    will: bool = False,
    client_id: str | None = None,
) -> bytes:
    flags = (2 if clean else 0) | (0x04 if will else 0)
    flags |= (0x80 if login.user_name is not None else 0) | (0x40 if login.password else 0)
    body = field(name) + bytes([level, flags]) + struct.pack(">H", keepalive_s)
    body += field(login.client_id if client_id is None else client_id)
    if will:
        body += field(login.topic("event")) + field("gone")
    if login.user_name is not None:
        body += field(login.user_name)
    if login.password:
        body += field(login.password)
    return packet(0x10, body)


def publish_bytes(
    topic: str, payload: bytes, qos: int = 0, packet_id: int = 0, dup: bool = False, retain=False
) -> bytes:
    body = field(topic) + (struct.pack(">H", packet_id) if qos else b"") + payload
    return packet(0x30 | dup << 3 | qos << 1 | retain, body)


def subscribe_bytes(packet_id: int, *filters: tuple[str, int]) -> bytes:
    body = struct.pack(">H", packet_id)
    return packet(0x82, body + b"".join(field(name) + bytes([qos]) for name, qos in filters))


def unsubscribe_bytes(packet_id: int, *filters: str) -> bytes:
    return packet(0xA2, struct.pack(">H", packet_id) + b"".join(field(name) for name in filters))


def puback_bytes(packet_id: int) -> bytes:
    return packet(0x40, struct.pack(">H", packet_id))


class RawClient:
    """One connection: TCP to a port, or another wire. Every wait ends after `TIMEOUT_S`; a close
    by the server is EOFError."""

    def __init__(self, to: int | Wire) -> None:
        self._socket: Any = tcp(to) if isinstance(to, int) else to
        self._received = b""

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_some(self, data: bytes) -> int:
        """As much as the system takes at once; TimeoutError when it takes nothing in time."""
        return self._socket.send(data)

    def set_timeout(self, timeout_s: float) -> None:
        self._socket.settimeout(timeout_s)

    def set_receive_buffer(self, size_bytes: int) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)

    def read_bytes(self, count: int) -> bytes:
        self._socket.settimeout(TIMEOUT_S)
        received = bytearray()
        while len(received) < count:
            received += self._socket.recv(65536)
        return bytes(received)

    def read_packet(self, timeout_s: float = TIMEOUT_S) -> Packet:
        """The next packet; EOFError when the server closed, TimeoutError when nothing came."""
        self._socket.settimeout(timeout_s)
        while (parsed := self._parse()) is None:
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                raise EOFError
            self._received += data
        return parsed

    def _parse(self) -> Packet | None:
        length = 0
        for position in range(1, 5):
            if position >= len(self._received):
                return None
            digit = self._received[position]
            length |= (digit & 0x7F) << 7 * (position - 1)
            if digit < 0x80:
                break
        start = position + 1
        if len(self._received) < start + length:
            return None
        first, body = self._received[0], self._received[start : start + length]
        self._received = self._received[start + length :]
        return Packet(first >> 4, first & 15, body)

    def expect(self, kind: int) -> bytes:
        """The body of the next packet, which must be of this kind."""
        received = self.read_packet()
        assert received.kind == kind, f"expected packet type {kind}, got {received}"
        return received.body

    def connect(self, login: Login, **options) -> tuple[int, bool]:
        """CONNACK's code and session-present flag."""
        self.send(connect_bytes(login, **options))
        flags, code = self.expect(CONNACK)
        return code, bool(flags & 1)

    def subscribe(self, *filters: tuple[str, int], packet_id: int = 1) -> list[int]:
        self.send(subscribe_bytes(packet_id, *filters))
        body = self.expect(SUBACK)
        assert body[:2] == struct.pack(">H", packet_id)
        return list(body[2:])

    def unsubscribe(self, *filters: str, packet_id: int = 1) -> None:
        self.send(unsubscribe_bytes(packet_id, *filters))
        assert self.expect(UNSUBACK) == struct.pack(">H", packet_id)

    def publish(self, topic: str, payload: bytes, packet_id: int = 1, dup: bool = False) -> None:
        """Publish at QoS 1 and wait for the PUBACK."""
        self.send(publish_bytes(topic, payload, 1, packet_id, dup))
        assert self.expect(PUBACK) == struct.pack(">H", packet_id)

    def message(self, acknowledge: bool = True, timeout_s: float = TIMEOUT_S) -> Message:
        """The next message, acknowledged at QoS 1 unless told not to."""
        received = self.read_packet(timeout_s)
        assert received.kind == PUBLISH, f"expected a PUBLISH, got {received}"
        qos = received.flags >> 1 & 3
        (length,) = struct.unpack_from(">H", received.body)
        end = 2 + length
        topic = received.body[2:end].decode()
        packet_id = 0
        if qos:
            (packet_id,) = struct.unpack_from(">H", received.body, end)
            end += 2
            if acknowledge:
                self.send(puback_bytes(packet_id))
        return Message(topic, received.body[end:], qos, bool(received.flags & 8), packet_id)

    def messages(self, quiet_s: float = 0.5) -> list[Message]:
        """Every message until none comes for `quiet_s`."""
        found = []
        with contextlib.suppress(TimeoutError):
            while True:
                found.append(self.message(timeout_s=quiet_s))
        return found

    def is_open(self) -> bool:
        """Whether the server still answers a ping, whatever else it sends before."""
        try:
            self.send(PINGREQ_BYTES)
            while self.read_packet().kind != PINGRESP:
                pass
        except (EOFError, BrokenPipeError, ConnectionResetError):
            return False
        return True

    def wait_closed(self, timeout_s: float = TIMEOUT_S) -> bool:
        """Whether the server closes within the time; packets met on the way are dropped."""
        try:
            while True:
                self.read_packet(timeout_s)
        except EOFError:
            return True
        except TimeoutError:
            return False

    def disconnect(self) -> None:
        self.send(DISCONNECT_BYTES)
        assert self.wait_closed()
