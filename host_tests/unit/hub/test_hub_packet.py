"""The hub's packet codec: every packet round trips, every cut and every bad byte is refused."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.hub.broker import encoder
from tools.hub.broker import packet as mqtt
from tools.hub.broker.decoder import PacketReader
from tools.hub.broker.packet import MalformedPacket, PacketTooLarge

MAX_BYTES = 16 * 1024
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
TOPIC = TEXT.filter(lambda text: "+" not in text and "#" not in text)
PACKET_ID = st.integers(1, 65535)


def field(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def frame(first: int, body: bytes) -> bytes:
    assert len(body) < 16_384
    if len(body) < 128:
        return bytes([first, len(body)]) + body
    return bytes([first, len(body) & 0x7F | 0x80, len(body) >> 7]) + body


def read(data: bytes) -> list:
    reader = PacketReader(MAX_BYTES)
    reader.feed(data)
    return list(reader.packets())


CONNECT = frame(
    0x10,
    field(b"MQTT")
    + b"\x04\xc2\x00\x3c"
    + field(b"PRODUCTID1dev01")
    + field(b"u;s")
    + field(b"\xff"),
)
SAMPLES = {
    "connect": CONNECT,
    "connect with will": frame(
        0x10, field(b"MQTT") + b"\x04\x0e\0\0" + field(b"a") + field(b"t") + field(b"\xff")
    ),
    "connect 3.1": frame(0x10, field(b"MQIsdp") + b"\x03\x02\0\0" + field(b"a")),
    "publish 0": frame(0x30, field(b"a/b") + b"payload"),
    "publish 1": frame(0x3B, field(b"a/b") + b"\x12\x34payload"),
    "puback": frame(0x40, b"\x12\x34"),
    "subscribe": frame(0x82, b"\0\1" + field(b"a/+") + b"\1" + field(b"b/#") + b"\0"),
    "unsubscribe": frame(0xA2, b"\0\2" + field(b"a") + field(b"b")),
    "pingreq": b"\xc0\0",
    "disconnect": b"\xe0\0",
    "pubrec": frame(0x50, b"\0\1"),
    "pubrel": frame(0x62, b"\0\1"),
}


def test_connect_fields():
    assert read(CONNECT) == [
        mqtt.Connect(4, True, "PRODUCTID1dev01", True, 60, None, "u;s", b"\xff")
    ]
    will = mqtt.Publish("t", b"\xff", 1)
    assert read(SAMPLES["connect with will"]) == [mqtt.Connect(4, True, "a", True, 0, will)]
    assert read(SAMPLES["connect 3.1"]) == [mqtt.Connect(3, True, "a", True, 0)]


def test_connect_of_another_level_is_read_no_further():
    assert read(frame(0x10, field(b"MQTT") + b"\x05anything")) == [mqtt.Connect(5, False)]
    assert read(frame(0x10, field(b"MQIsdp") + b"\x04")) == [mqtt.Connect(4, False)]


def test_connect_repr_hides_the_password():
    (connect,) = read(CONNECT)
    connect.password = b"secret-signature"
    assert "secret-signature" not in repr(connect)


def test_other_packets():
    assert read(SAMPLES["publish 1"]) == [
        mqtt.Publish("a/b", b"payload", 1, retain=True, dup=True, packet_id=0x1234)
    ]
    assert read(SAMPLES["subscribe"]) == [mqtt.Subscribe(1, [("a/+", 1), ("b/#", 0)])]
    assert read(SAMPLES["unsubscribe"]) == [mqtt.Unsubscribe(2, ["a", "b"])]
    assert read(SAMPLES["puback"]) == [mqtt.Puback(0x1234)]
    assert read(SAMPLES["pingreq"]) == [mqtt.Pingreq()]
    assert read(SAMPLES["disconnect"]) == [mqtt.Disconnect()]
    assert read(SAMPLES["pubrel"]) == [mqtt.QoS2Reply(mqtt.PUBREL, 1)]


@given(TOPIC, st.binary(max_size=300), st.integers(0, 1), PACKET_ID, st.booleans())
def test_publish_round_trip(topic, payload, qos, packet_id, dup):
    packet_id, dup = (packet_id, dup) if qos else (0, False)
    data = encoder.encode_publish(topic, payload, qos, packet_id, dup)
    assert encoder.publish_bytes(topic, payload, qos) == len(data)
    assert read(data) == [mqtt.Publish(topic, payload, qos, False, dup, packet_id)]


def test_answers():
    assert encoder.encode_connack(0, True) == b"\x20\x02\x01\x00"
    assert encoder.encode_connack(4) == b"\x20\x02\x00\x04"
    assert encoder.encode_puback(0x1234) == b"\x40\x02\x12\x34"
    assert encoder.encode_unsuback(1) == b"\xb0\x02\x00\x01"
    assert encoder.encode_suback(1, [0, 1, 0x80]) == b"\x90\x05\x00\x01\x00\x01\x80"
    assert encoder.encode_publish("a", bytes(200))[:3] == b"\x30\xcb\x01"


@pytest.mark.parametrize("name", SAMPLES)
def test_every_split_gives_the_same_packets(name):
    stream = SAMPLES[name] + SAMPLES["pingreq"]
    whole = read(stream)
    for cut in range(len(stream) + 1):
        reader = PacketReader(MAX_BYTES)
        found: list[object] = []
        for piece in (stream[:cut], stream[cut:]):
            reader.feed(piece)
            found += reader.packets()
        assert found == whole


@pytest.mark.parametrize("name", SAMPLES)
def test_every_truncated_body_is_refused_or_shorter(name):
    """A body cut short, with its length told truly, is never read past its end."""
    data = SAMPLES[name]
    complete = read(data)
    for size in range(len(data) - 2):
        try:
            found = read(frame(data[0], data[2 : 2 + size]))
        except MalformedPacket:
            continue
        # Only what ends at a field's end can still be a packet, and then another one.
        assert found != complete


def test_packets_before_a_bad_one_are_kept():
    reader = PacketReader(MAX_BYTES)
    reader.feed(SAMPLES["pingreq"] + SAMPLES["puback"] + b"\xf0\0" + SAMPLES["pingreq"])
    found = []
    with pytest.raises(MalformedPacket):
        for packet in reader.packets():
            found.append(packet)
    assert found == [mqtt.Pingreq(), mqtt.Puback(0x1234)]


def test_the_cap_is_of_the_whole_packet():
    def publish(size: int) -> bytes:
        return frame(0x30, field(b"t") + bytes(size - 3 - 3))

    assert len(publish(MAX_BYTES)) == MAX_BYTES
    assert len(read(publish(MAX_BYTES))) == 1
    with pytest.raises(PacketTooLarge):
        read(publish(MAX_BYTES + 1))
    # By its length alone, before a byte of its body.
    with pytest.raises(PacketTooLarge):
        read(b"\x30\xff\xff\x7f")


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80\x80\x80\x80\x01",
        frame(0x36, field(b"t") + b"\0\1"),
        frame(0x32, field(b"t") + b"\0\0"),
        frame(0x32, field(b"t") + b"\1"),
        frame(0x38, field(b"t")),
        frame(0x30, field(b"")),
        frame(0x30, field(b"a/#")),
        frame(0x30, field(b"+/a")),
        frame(0x30, field(b"\xed\xa0\x80")),
        frame(0x30, field(b"a\0")),
        frame(0x30, b"\0"),
        frame(0x41, b"\0\1"),
        frame(0x40, b"\0\0"),
        frame(0x40, b"\0\1\1"),
        frame(0x80, b"\0\1" + field(b"a") + b"\0"),
        frame(0x82, b"\0\1"),
        frame(0x82, b"\0\1" + field(b"a") + b"\3"),
        frame(0x82, b"\0\0" + field(b"a") + b"\0"),
        frame(0xA2, b"\0\1"),
        frame(0x60, b"\0\1"),
        frame(0xC0, b"\0"),
        frame(0x20, b"\0\0"),
        frame(0x00, b""),
        frame(0xF0, b""),
        frame(0x10, field(b"HTTP") + b"\4\2\0\0" + field(b"a")),
        frame(0x10, field(b"MQTT") + b"\4\3\0\0" + field(b"a")),
        frame(0x10, field(b"MQTT") + b"\4\x42\0\0" + field(b"a") + field(b"p")),
        frame(0x10, field(b"MQTT") + b"\4\x0a\0\0" + field(b"a")),
        frame(0x10, field(b"MQTT") + b"\4\x1e\0\0" + field(b"a") + field(b"t") + field(b"m")),
        frame(0x10, field(b"MQTT") + b"\4\2\0\0" + field(b"a") + b"x"),
    ],
)
def test_malformed(data):
    with pytest.raises(MalformedPacket):
        read(data)


@settings(max_examples=500)
@given(st.lists(st.binary(max_size=40), max_size=5), st.sampled_from(sorted(SAMPLES)))
def test_any_bytes_give_packets_or_a_typed_error(pieces, name):
    reader = PacketReader(MAX_BYTES)
    try:
        for piece in [*pieces, SAMPLES[name]]:
            reader.feed(piece)
            for packet in reader.packets():
                assert isinstance(packet, mqtt.Packet)
    except MalformedPacket:
        pass
