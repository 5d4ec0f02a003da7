"""Reads MQTT packets out of recorded bytes; shares no code with what it judges."""

from collections.abc import Iterator
from typing import NamedTuple

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 1, 2, 3, 4, 8, 9
UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 10, 11, 12, 13, 14


class Packet(NamedTuple):
    """`flags` are the low four bits of its first byte."""

    kind: int
    flags: int
    body: bytes


class Publish(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    dup: bool
    packet_id: int


def packets(stream: bytes | bytearray) -> Iterator[Packet]:
    """Every whole packet of one direction of a connection, in order."""
    at = 0
    while True:
        length, shift, body = 0, 0, at + 1
        while True:
            if body >= len(stream):
                return
            digit = stream[body]
            length |= (digit & 0x7F) << shift
            shift += 7
            body += 1
            if digit < 0x80:
                break
            if shift > 21:
                raise AssertionError(f"a length of over four bytes at offset {at}")
        if body + length > len(stream):
            return
        yield Packet(stream[at] >> 4, stream[at] & 15, bytes(stream[body : body + length]))
        at = body + length


def publishes(stream: bytes | bytearray) -> Iterator[Publish]:
    """The PUBLISH packets among them."""
    for packet in packets(stream):
        if packet.kind != PUBLISH:
            continue
        qos = packet.flags >> 1 & 3
        topic_end = 2 + int.from_bytes(packet.body[:2], "big")
        body = topic_end + (2 if qos else 0)
        packet_id = int.from_bytes(packet.body[topic_end:body], "big")
        topic = packet.body[2:topic_end].decode()
        yield Publish(topic, packet.body[body:], qos, bool(packet.flags & 8), packet_id)


def kinds(stream: bytes | bytearray) -> list[int]:
    """The types of its packets."""
    return [packet.kind for packet in packets(stream)]
