"""The opening handshake of WebSocket (RFC 6455), the client's side. Pure."""

import binascii
import hashlib

from iothub.codec.websocket import printable
from iothub.compat import const
from iothub.errors import ProtocolError

MAX_HEAD_BYTES = const(2048)  # of the server's answer
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def handshake_key(random16):
    """The Sec-WebSocket-Key (bytes) of 16 random bytes."""
    return binascii.b2a_base64(random16)[:-1]


def handshake_request(host, port, path, key):
    """The HTTP request (bytes). `host` and `path` str, `key` from handshake_key()."""
    return (
        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n"
        "Sec-WebSocket-Key: %s\r\n\r\n" % (path, host, port, key.decode())
    ).encode()


def check_answer(head, key):
    """Raises ProtocolError unless `head`, the server's answer up to its empty line (bytes),
    agrees to speak MQTT over WebSocket and proves to have read `key`."""
    lines = head.split(b"\r\n")
    status = lines[0].split(b" ")
    if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or status[1] != b"101":
        raise ProtocolError("websocket: answered " + printable(lines[0]))
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        fields[name.strip().lower()] = value.strip()
    proof = binascii.b2a_base64(hashlib.sha1(key + _GUID).digest())[:-1]
    if fields.get(b"sec-websocket-accept") != proof:
        raise ProtocolError("websocket: wrong Sec-WebSocket-Accept")
    if fields.get(b"sec-websocket-protocol") != b"mqtt":
        raise ProtocolError("websocket: the server does not agree to mqtt")
    if b"sec-websocket-extensions" in fields:
        raise ProtocolError("websocket: an extension nobody asked for")
