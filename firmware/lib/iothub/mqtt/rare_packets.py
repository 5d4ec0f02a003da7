"""The packets that a client seldom sends: CONNECT, SUBSCRIBE and UNSUBSCRIBE."""

from iothub.compat import const
from iothub.errors import BadInput
from iothub.mqtt.packet import CONNECT, SUBSCRIBE, UNSUBSCRIBE

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
