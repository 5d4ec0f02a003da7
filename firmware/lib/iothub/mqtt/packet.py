"""MQTT 3.1.1 packets as bytes: the numbers, and what runs per message. That writes into a buffer
the caller owns and allocates nothing. The other packets are in rare_packets.py."""

from iothub.compat import const
from iothub.errors import ProtocolError

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
