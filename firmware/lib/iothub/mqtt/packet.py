"""MQTT 3.1.1 packets as bytes. Builds what a client sends; the engine reads what it receives.

Builders that run per message write into a buffer the caller owns and allocate nothing.
"""

from iothub.compat import const
from iothub.errors import BadInput, ProtocolError

CONNECT = const(0x10)
CONNACK = const(0x20)
PUBLISH = const(0x30)
PUBACK = const(0x40)
SUBSCRIBE = const(0x80)
SUBACK = const(0x90)
UNSUBSCRIBE = const(0xA0)
UNSUBACK = const(0xB0)
PINGREQ = b"\xc0\x00"
PINGRESP = const(0xD0)
DISCONNECT = b"\xe0\x00"

DUP = const(0x08)
RETAIN = const(0x01)

_MAX_LENGTH = const(0x0FFFFFFF)  # what four length bytes can say


def connect(client_id, keepalive_s, clean_session, username=None, password=None, will=None):
    """A CONNECT packet. All names bytes; `will` is None or (topic, payload, qos, retain)."""
    flags = 2 if clean_session else 0
    fields = [client_id]
    if will is not None:
        topic, payload, qos, retain = will
        flags |= 0x04 | qos << 3 | (0x20 if retain else 0)
        fields += (topic, payload)
    if username is not None:
        flags |= 0x80
        fields.append(username)
    if password is not None:
        if username is None:
            raise BadInput("username", "is needed with a password")
        flags |= 0x40
        fields.append(password)
    head = b"\x00\x04MQTT\x04" + bytes((flags, keepalive_s >> 8, keepalive_s & 255))
    return _packet(CONNECT, head, fields)


def subscribe(packet_id, filters):
    """A SUBSCRIBE packet for [(filter bytes, qos)]."""
    fields = []
    for pattern, qos in filters:
        fields.append(pattern)
        fields.append(qos)
    return _packet(SUBSCRIBE | 2, packet_id.to_bytes(2, "big"), fields)


def unsubscribe(packet_id, filters):
    """An UNSUBSCRIBE packet for [filter bytes]."""
    return _packet(UNSUBSCRIBE | 2, packet_id.to_bytes(2, "big"), filters)


def publish_size(topic, payload, qos):
    """Bytes that put_publish will write."""
    length = 2 + len(topic) + len(payload) + (2 if qos else 0)
    if length < 128:
        return length + 2
    if length < 16384:
        return length + 3
    return length + (4 if length < 2097152 else 5)


def put_publish(buf, topic, payload, packet_id, flags):
    """Writes a PUBLISH to the start of `buf` and returns its size. `packet_id` 0 is QoS 0.
    `topic` and `payload` are bytes-like; `buf` must hold publish_size() bytes."""
    topic_size = len(topic)
    length = 2 + topic_size + len(payload)
    if packet_id:
        length += 2
        flags |= 2
    buf[0] = PUBLISH | flags
    at = 1
    left = length
    while left > 127:
        buf[at] = left & 127 | 128
        left >>= 7
        at += 1
    buf[at] = left
    buf[at + 1] = topic_size >> 8
    buf[at + 2] = topic_size & 255
    at += 3
    buf[at : at + topic_size] = topic
    at += topic_size
    if packet_id:
        buf[at] = packet_id >> 8
        buf[at + 1] = packet_id & 255
        at += 2
    end = at + len(payload)
    buf[at:end] = payload
    return end


def length_size(buf, start, end):
    """How many bytes the remaining length at buf[start] takes; 0 when it is not all there yet.
    Raises ProtocolError after four bytes, which no length needs."""
    at = start
    while at < end:
        at += 1
        if buf[at - 1] < 128:
            return at - start
        if at - start == 4:
            raise ProtocolError("remaining length over four bytes")
    return 0


def length_value(buf, start, size):
    """The remaining length in buf[start:start+size]."""
    value = 0
    at = start + size
    while at > start:
        at -= 1
        value = value << 7 | buf[at] & 127
    return value


def _packet(first, head, fields):
    """A packet of a head and fields: bytes with their 2-byte length, ints as a single byte."""
    length = len(head)
    for field in fields:
        if isinstance(field, int):
            length += 1
        elif len(field) > 65535:
            raise BadInput("packet", "a field is over 65535 bytes")
        else:
            length += 2 + len(field)
    if length > _MAX_LENGTH:
        raise BadInput("packet", "is over 256 MiB")
    out = bytearray((first,))
    left = length
    while left > 127:
        out.append(left & 127 | 128)
        left >>= 7
    out.append(left)
    out.extend(head)
    for field in fields:
        if isinstance(field, int):
            out.append(field)
        else:
            out.append(len(field) >> 8)
            out.append(len(field) & 255)
            out.extend(field)
    return out
