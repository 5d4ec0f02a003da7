"""WebSocket and secure WebSocket: both SDKs' handshakes, every shape of frame, refusals."""

import base64
import hashlib
import os
import struct

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from host_tests.peers.broker_client import (
    CONNACK,
    PINGREQ_BYTES,
    Login,
    RawClient,
    connect_bytes,
    publish_bytes,
)
from host_tests.peers.broker_everyway import TIMEOUT_S, Device, EveryWayHub
from host_tests.peers.broker_wires import TlsWire, WebSocketWire, Wire, tcp

# The vendor's C SDK sends the same key with every request.
C_SDK_KEY = base64.b64encode(b"1234567890abcdef").decode()
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = EveryWayHub(tmp_path_factory.mktemp("hub"))
    yield server
    server.stop()


@pytest.fixture
def device(hub) -> Device:
    return Device(hub)


def request(path: str = "/mqtt", **headers: str | None) -> bytes:
    """An upgrade request; a header given as None is left out."""
    fields: dict[str, str | None] = {
        "Host": "127.0.0.1:80",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": C_SDK_KEY,
        "Sec-WebSocket-Protocol": "mqtt",
        "Sec-WebSocket-Version": "13",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


def frame(opcode: int, payload: bytes, fin: bool = True, mask: bool = True) -> bytes:
    length = len(payload)
    head = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if mask else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", length)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", length)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


class HandMade:
    """A WebSocket client of bytes, for what a library would not send."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._wire.settimeout(TIMEOUT_S)
        self._received = b""

    def send(self, data: bytes) -> None:
        self._wire.sendall(data)

    def _read(self, count: int) -> bytes:
        while len(self._received) < count:
            data = self._wire.recv(65536)
            if not data:
                raise EOFError
            self._received += data
        taken, self._received = self._received[:count], self._received[count:]
        return taken

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer."""
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self._read(1)
        first, *lines = data.decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split(" ")[1]), headers

    def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, which a server never masks or cuts."""
        first, length = self._read(2)
        assert first & 0x80 and not length & 0x80
        if length == 126:
            (length,) = struct.unpack(">H", self._read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._read(8))
        return first & 15, self._read(length)

    def opened(self) -> "HandMade":
        self.send(request())
        assert self.head()[0] == 101
        return self

    def rest(self) -> bytes:
        """Everything until the hub closes."""
        data = self._received
        while more := self._wire.recv(65536):
            data += more
        return data

    def logged_in(self, login: Login) -> "HandMade":
        self.opened().send(frame(BINARY, connect_bytes(login)))
        assert self.frame() == (BINARY, b"\x20\2\0\0")
        return self

    def pings(self) -> bool:
        """Whether MQTT still answers."""
        self.send(frame(BINARY, PINGREQ_BYTES))
        return self.frame() == (BINARY, b"\xd0\0")


@pytest.fixture
def client(hub):
    wire = tcp(hub.ports["ws"])
    yield HandMade(wire)
    wire.close()


# The upgrade.


@pytest.mark.parametrize("path", ["/", "/mqtt", "/mqtt?x=1"])
@pytest.mark.parametrize("listener", ["ws", "wss"])
def test_both_sdks_paths(hub, device, listener, path):
    wire: Wire = tcp(hub.ports["ws"])
    if listener == "wss":
        wire = TlsWire(hub.ports["wss"], hub.authority_pem())
    client = HandMade(wire)
    client.send(request(path))
    status, headers = client.head()
    assert (status, headers["Sec-WebSocket-Protocol"]) == (101, "mqtt")
    digest = hashlib.sha1(f"{C_SDK_KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    assert headers["Sec-WebSocket-Accept"] == base64.b64encode(digest).decode()
    client.send(frame(BINARY, connect_bytes(device.signed_login)))
    assert client.frame() == (BINARY, b"\x20\2\0\0")
    (connect,) = hub.events(device.login, "connect")
    assert (connect["transport"], connect["proved_by"]) == (listener, None)
    wire.close()


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (request("/other"), 404, "WebSocket refused with 404: no MQTT at /other"),
        (request(Sec_WebSocket_Protocol=None), 400, "missing subprotocol"),
        (request(Sec_WebSocket_Protocol="chat"), 400, "invalid subprotocol"),
        (request(Sec_WebSocket_Key=None), 400, "missing Sec-WebSocket-Key"),
        (request(Sec_WebSocket_Key="short"), 400, "invalid Sec-WebSocket-Key"),
        (request(Sec_WebSocket_Version="8"), 400, "invalid Sec-WebSocket-Version"),
        (request(Upgrade=None), 426, "missing Upgrade"),
        (request().replace(b"GET", b"POST"), 405, "POST"),
        (request("/" + "x" * 9000), 414, ""),
        (request(X="x" * 9000), 431, ""),
        (request(**{f"X{number}": "x" for number in range(200)}), 431, ""),
    ],
)
def test_an_upgrade_that_is_refused(hub, client, data, status, reason):
    after = hub.last_event()
    client.send(data)
    assert client.head()[0] == status
    client.rest()
    told = hub.failed_handshake(after)
    assert reason in told and len(told) < 300


@pytest.mark.parametrize(
    "data",
    [
        connect_bytes(Login("PRODUCTID1", "dev01", None, None)) + b"\r\n\r\n",
        b"\x16\3\1\2\0\1\r\n\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        bytes(9000),
    ],
)
def test_what_is_no_request_is_closed(hub, client, data):
    after = hub.last_event()
    client.send(data)
    client.rest()
    assert hub.failed_handshake(after).startswith("no WebSocket request: ")


@pytest.mark.parametrize("sent", [0, 10])
def test_a_request_that_never_ends_meets_the_deadline(hub, client, sent):
    after = hub.last_event()
    client.send(request()[:sent])
    assert client.rest() == b""
    assert hub.failed_handshake(after) == "not open within 0.5 s"


def test_a_request_byte_by_byte_with_frames_behind_it(hub, client, device):
    for byte in request() + frame(BINARY, connect_bytes(device.signed_login)):
        client.send(bytes([byte]))
    assert client.head()[0] == 101
    assert client.frame() == (BINARY, b"\x20\2\0\0")


# Frames.


def test_packets_and_frames_have_borders_of_their_own(client, device):
    client.logged_in(device.signed_login)
    packets = [publish_bytes(device.login.topic("event"), b"x" * n, 1, n) for n in range(1, 4)]
    stream = b"".join(packets)
    client.send(frame(BINARY, stream))
    assert client.frame() == (BINARY, b"\x40\2\0\1\x40\2\0\2\x40\2\0\3")
    for byte in stream[:-1]:
        client.send(frame(BINARY, bytes([byte])))
    client.send(frame(BINARY, b"") + frame(BINARY, stream[-1:]))
    answers = b""
    while len(answers) < 12:
        answers += client.frame()[1]
    assert answers == b"\x40\2\0\1\x40\2\0\2\x40\2\0\3"


def test_a_message_in_fragments_with_control_frames_between(client, device):
    client.logged_in(device.signed_login)
    packet = publish_bytes(device.login.topic("event"), b"fragments", 1, 9)
    client.send(frame(BINARY, packet[:5], fin=False))
    client.send(frame(PING, b"are you there"))
    assert client.frame() == (PONG, b"are you there")
    client.send(frame(CONT, packet[5:8], fin=False) + frame(PONG, b"unasked"))
    client.send(frame(CONT, packet[8:]))
    assert client.frame() == (BINARY, b"\x40\2\0\x09")


@pytest.mark.parametrize("size", [125, 126, 127, 16_000])
def test_payloads_around_the_borders_of_lengths(hub, client, device, size):
    client.logged_in(device.signed_login)
    topic = device.login.topic("event")
    client.send(frame(BINARY, publish_bytes(topic, b"x" * size, 1, 1)))
    assert client.frame() == (BINARY, b"\x40\2\0\1")
    (message,) = hub.call("GET", f"/messages?topic={topic}")["messages"]
    assert len(message["payload"]) == size


@pytest.mark.parametrize(
    ("data", "code", "reason"),
    [
        (frame(TEXT, PINGREQ_BYTES), 1003, "a text frame; MQTT comes in binary ones"),
        (frame(BINARY, PINGREQ_BYTES, mask=False), 1002, "incorrect masking"),
        (frame(CONT, PINGREQ_BYTES), 1002, "unexpected continuation frame"),
        (frame(BINARY, b"x", fin=False) * 2, 1002, "expected a continuation frame"),
        (frame(3, b""), 1002, "invalid opcode"),
        (frame(PING, b"x" * 126), 1002, "control frame too long"),
        (frame(PING, b"", fin=False), 1002, "fragmented control frame"),
        (frame(CLOSE, b"\3"), 1002, "close frame too short"),
        (b"\xc2" + frame(BINARY, b"")[1:], 1002, "reserved bits"),
        (b"\x82\xff" + struct.pack(">Q", 256 * 1024 + 1), 1009, "262145"),
        (b"\x82\xff" + b"\xff" * 8, 1009, ""),
    ],
    # The frames carry random masks; workers that share the tests must name them alike.
    ids=range(11),
)
def test_a_frame_that_is_forbidden_ends_the_connection(hub, client, device, data, code, reason):
    client.logged_in(device.signed_login)
    client.send(data)
    opcode, payload = client.frame()
    assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code)
    client.rest()
    told = hub.events(device.login, "disconnect")[-1]["reason"]
    assert told.startswith("WebSocket: ") and reason in told


def test_fragments_of_one_message_are_bounded_together(client, device):
    client.logged_in(device.signed_login)
    ping = PINGREQ_BYTES * 50_000
    client.send(frame(BINARY, ping, fin=False) + frame(CONT, ping, fin=False))
    client.send(frame(CONT, ping))
    kinds = set()
    while CLOSE not in kinds:
        opcode, payload = client.frame()
        kinds.add(opcode)
    assert int.from_bytes(payload[:2], "big") == 1009


def test_a_close_is_answered_and_ends_the_device_without_disconnect(hub, client, device):
    client.logged_in(device.signed_login)
    client.send(frame(CLOSE, struct.pack(">H", 1000)))
    assert client.frame() == (CLOSE, struct.pack(">H", 1000))
    assert client.rest() == b""
    reason = hub.events(device.login, "disconnect")[-1]["reason"]
    assert reason == "the device closed the connection without DISCONNECT"


def test_disconnect_is_followed_by_a_close_frame(client, device):
    client.logged_in(device.signed_login)
    client.send(frame(BINARY, b"\xe0\0"))
    assert client.frame() == (CLOSE, struct.pack(">H", 1000))
    assert client.rest() == b""


def test_a_refused_login_is_told_before_the_close(client, device):
    client.opened().send(frame(BINARY, connect_bytes(device.login)))
    assert client.frame() == (BINARY, b"\x20\2\0\4")
    assert client.frame()[0] == CLOSE


def test_a_connection_that_breaks_off_in_a_frame(hub, device):
    wire = tcp(hub.ports["ws"])
    HandMade(wire).logged_in(device.signed_login).send(frame(BINARY, PINGREQ_BYTES)[:-1])
    wire.close()
    with RawClient(WebSocketWire(tcp(hub.ports["ws"]))) as again:
        assert again.connect(device.signed_login) == (0, False)


# Logins of certificate devices over wss.


def certificate_login(device: Device) -> Login:
    """As the vendor's C SDK signs over WebSocket: RSA of the user name."""
    with open(device.certificate.key, "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    user_name = device.login.user_name or ""
    signature = key.sign(user_name.encode(), padding.PKCS1v15(), hashes.SHA256())
    return device.login._replace(password=f"{signature.hex()};rsa-sha256")


def connack(hub: EveryWayHub, listener: str, login: Login, device: Device | None = None) -> int:
    wire: Wire = tcp(hub.ports["ws"])
    if listener == "wss":
        certificate = device.certificate if device else None
        wire = TlsWire(hub.ports["wss"], hub.authority_pem(), certificate)
    with RawClient(WebSocketWire(wire)) as client:
        client.send(connect_bytes(login))
        return client.expect(CONNACK)[1]


def test_a_certificate_logs_in_over_wss(hub):
    device = Device(hub, "cert")
    assert connack(hub, "wss", device.login, device) == 0
    assert connack(hub, "wss", device.login._replace(password="anything"), device) == 0
    assert connack(hub, "wss", device.login) == 5
    assert hub.events(device.login, "connect")[0]["proved_by"] == "certificate"


def test_a_signed_user_name_logs_in_over_wss_only(hub):
    device, other = Device(hub, "cert", "rsa"), Device(hub, "cert", "rsa")
    login = certificate_login(device)
    assert connack(hub, "wss", login) == 0
    assert connack(hub, "wss", login, device) == 0
    assert connack(hub, "ws", login) == 5
    assert connack(hub, "wss", certificate_login(other)) == 0
    stolen = other.login._replace(password=login.password)
    assert connack(hub, "wss", stolen) == 4
    assert hub.refusal(other.login) == "wrong rsa-sha256 signature"
