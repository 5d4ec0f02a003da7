"""What a server sends: packets to bytes. Pure."""

from tools.hub.broker.packet import CONNACK, PUBACK, PUBCOMP, PUBLISH, PUBREC, SUBACK, UNSUBACK

PINGRESP_BYTES = b"\xd0\x00"
SUBACK_FAILURE = 0x80


def encode_connack(code: int, session_present: bool = False) -> bytes:
    return bytes((CONNACK << 4, 2, int(session_present), code))


def encode_puback(packet_id: int) -> bytes:
    return bytes((PUBACK << 4, 2, packet_id >> 8, packet_id & 0xFF))


def encode_pubrec(packet_id: int) -> bytes:
    return bytes((PUBREC << 4, 2, packet_id >> 8, packet_id & 0xFF))


def encode_pubcomp(packet_id: int) -> bytes:
    return bytes((PUBCOMP << 4, 2, packet_id >> 8, packet_id & 0xFF))


def encode_unsuback(packet_id: int) -> bytes:
    return bytes((UNSUBACK << 4, 2, packet_id >> 8, packet_id & 0xFF))


def encode_suback(packet_id: int, codes: list[int]) -> bytes:
    return _encode(SUBACK << 4, packet_id.to_bytes(2, "big") + bytes(codes))


def encode_publish(
    topic: str,
    payload: bytes,
    qos: int = 0,
    packet_id: int = 0,
    dup: bool = False,
    retain: bool = False,
) -> bytes:
    name = topic.encode()
    head = len(name).to_bytes(2, "big") + name
    if qos:
        head += packet_id.to_bytes(2, "big")
    return _encode(PUBLISH << 4 | (dup << 3) | (qos << 1) | retain, head + payload)


def publish_bytes(topic: str, payload: bytes, qos: int) -> int:
    """The size of the whole packet that `encode_publish` would make."""
    body = 2 + len(topic.encode()) + (2 if qos else 0) + len(payload)
    return 1 + len(_encode_length(body)) + body


def _encode(first: int, body: bytes) -> bytes:
    return bytes((first,)) + _encode_length(len(body)) + body


def _encode_length(length: int) -> bytes:
    encoded = bytearray()
    while True:
        byte, length = length & 0x7F, length >> 7
        encoded.append(byte | 0x80 if length else byte)
        if not length:
            return bytes(encoded)
