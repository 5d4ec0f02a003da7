"""WebSocket (RFC 6455), the client's side: frames; websocket_opening.py has the handshake. Pure.

MQTT rides in binary frames; where frames begin and end means nothing to it (MQTT 3.1.1, 6.0).
"""

from iothub.compat import const
from iothub.errors import ProtocolError

CONTINUATION = const(0)
TEXT = const(1)
BINARY = const(2)
CLOSE = const(8)
PING = const(9)
PONG = const(10)

MAX_CONTROL_BYTES = const(125)
MAX_HEADER_BYTES = const(14)
_MASK_CHUNK_BYTES = const(64)


def put_frame(buf, opcode, payload, size, mask):
    """Writes a whole masked frame of payload[:size] to `buf` and returns its length. `mask` is 4
    random bytes; `buf` must hold size + MAX_HEADER_BYTES."""
    buf[0] = 0x80 | opcode
    at = 2
    if size < 126:
        buf[1] = 0x80 | size
    elif size < 65536:
        buf[1] = 0x80 | 126
        buf[2] = size >> 8
        buf[3] = size & 255
        at = 4
    else:
        raise ValueError("frame over 64 KiB")
    buf[at : at + 4] = mask
    at += 4
    # XOR as one big integer a chunk: byte by byte it takes seconds for 16 KiB on the chip.
    pattern = int.from_bytes(mask * (_MASK_CHUNK_BYTES // 4), "big")
    done = 0
    while done < size:
        n = min(_MASK_CHUNK_BYTES, size - done)
        part = int.from_bytes(payload[done : done + n], "big")
        part ^= pattern >> 8 * (_MASK_CHUNK_BYTES - n)
        buf[at : at + n] = part.to_bytes(n, "big")
        at += n
        done += n
    return at


def header_size(buf, have):
    """How many bytes the frame header at the start of `buf` takes in all, `have` of which are
    there; 2 while that cannot be said yet. Raises ProtocolError for what no server sends."""
    if have < 2:
        return 2
    first = buf[0]
    length = buf[1]
    opcode = first & 15
    if first & 0x70 or length & 0x80:
        raise ProtocolError("websocket: reserved bits or a masked frame")
    if opcode not in (CONTINUATION, BINARY, CLOSE, PING, PONG):
        raise ProtocolError("websocket: opcode %d, which MQTT has not" % opcode)
    if opcode >= CLOSE and (length > MAX_CONTROL_BYTES or first < 0x80):
        raise ProtocolError("websocket: a control frame that is long or fragmented")
    return 2 if length < 126 else 4 if length == 126 else 10


def payload_size(buf):
    """The payload length a complete header tells. Raises ProtocolError over 31 bits."""
    length = buf[1] & 127
    if length > 125:
        length = int.from_bytes(buf[2 : 4 if length == 126 else 10], "big")
        if length >> 31:
            raise ProtocolError("websocket: a frame over 2 GiB")
    return length


def close_reason(payload):
    """What a close frame says, in words: "1002 protocol error"."""
    if len(payload) < 2:
        return "no reason"
    code = payload[0] << 8 | payload[1]
    return "%d %s" % (code, printable(payload[2:]))


def printable(data):
    """At most 60 bytes, as text without control characters."""
    return repr(bytes(data[:60]))[2:-1]
