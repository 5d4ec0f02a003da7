"""What a client sends: the packets of MQTT 3.1 and 3.1.1 that a server receives."""

from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14

CONNECT_FIRST_BYTE = CONNECT << 4
# Levels by protocol name (MQTT 3.1: MQIsdp 3; MQTT 3.1.1: MQTT 4).
PROTOCOLS = {"MQIsdp": 3, "MQTT": 4}


class MalformedPacket(Exception):
    """Bytes the standard forbids; the connection ends. The text says the rule."""


class PacketTooLarge(MalformedPacket):
    """A packet over the cap. It is refused by its length, before its body is read."""


@dataclass(slots=True)
class Connect:
    """`supported` is False when the level is not that of 3.1 or 3.1.1: nothing else is parsed."""

    protocol_level: int
    supported: bool
    client_id: str = ""
    clean_session: bool = True
    keepalive_s: int = 0
    will: "Publish | None" = None
    user_name: str | None = None
    password: bytes | None = None

    def __repr__(self) -> str:
        return f"Connect(client_id={self.client_id!r}, clean_session={self.clean_session})"


@dataclass(slots=True)
class Publish:
    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    dup: bool = False
    packet_id: int = 0


@dataclass(slots=True)
class Puback:
    packet_id: int


@dataclass(slots=True)
class Subscribe:
    """`filters` are (filter, requested QoS); their wildcards are not judged here."""

    packet_id: int
    filters: list[tuple[str, int]]


@dataclass(slots=True)
class Unsubscribe:
    packet_id: int
    filters: list[str]


@dataclass(slots=True)
class Pingreq:
    pass


@dataclass(slots=True)
class Disconnect:
    pass


@dataclass(slots=True)
class QoS2Reply:
    """PUBREC, PUBREL or PUBCOMP."""

    type: int
    packet_id: int


Packet = Connect | Publish | Puback | Subscribe | Unsubscribe | Pingreq | Disconnect | QoS2Reply
