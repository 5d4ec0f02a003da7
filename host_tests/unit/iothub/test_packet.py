from iothub.errors import BadInput, ProtocolError
from iothub.mqtt import packet, rare_packets

from host_tests.unit.iothub import peer
from host_tests.unit.iothub.expect import raises

# remaining length, its bytes: table 2.4 of MQTT 3.1.1
LENGTHS = (
    (0, b"\x00"),
    (127, b"\x7f"),
    (128, b"\x80\x01"),
    (16383, b"\xff\x7f"),
    (16384, b"\x80\x80\x01"),
    (2097151, b"\xff\xff\x7f"),
    (2097152, b"\x80\x80\x80\x01"),
    (268435455, b"\xff\xff\xff\x7f"),
)


def test_connect_with_all_fields():
    found = rare_packets.connect(b"id", 258, True, b"user", b"pass", (b"w", b"bye", 1, True))
    assert bytes(found) == (
        b"\x10\x22\x00\x04MQTT\x04\xee\x01\x02"
        b"\x00\x02id\x00\x01w\x00\x03bye\x00\x04user\x00\x04pass"
    )


def test_connect_with_the_least():
    assert (
        bytes(rare_packets.connect(b"id", 0, False))
        == b"\x10\x0e\x00\x04MQTT\x04\x00\x00\x00\x00\x02id"
    )


def test_connect_flags():
    # user, password, will, clean: bits of section 3.1.2.3
    for username, password, will, clean, flags in (
        (None, None, None, True, 0x02),
        (b"u", None, None, True, 0x82),
        (b"u", b"p", None, False, 0xC0),
        (None, None, (b"t", b"", 0, False), True, 0x06),
        (None, None, (b"t", b"", 1, False), True, 0x0E),
        (None, None, (b"t", b"", 0, True), True, 0x26),
    ):
        assert rare_packets.connect(b"id", 60, clean, username, password, will)[9] == flags


def test_a_password_without_a_user_name_is_refused():
    # MQTT-3.1.2-22 forbids it on the wire.
    assert raises(BadInput, rare_packets.connect, b"id", 60, True, None, b"p").field == "username"


def test_connect_longer_than_127_bytes():
    found = bytes(rare_packets.connect(b"id", 60, True, b"u" * 100, b"p" * 100))
    assert peer.split(found)[0][0] == 0x10
    assert len(found) == 2 + 1 + 10 + 4 + 102 + 102


def test_a_field_over_65535_bytes_is_refused():
    rare_packets.connect(b"id", 60, True, b"u" * 65535)
    assert raises(BadInput, rare_packets.connect, b"id", 60, True, b"u" * 65536).field == "packet"


def test_subscribe_and_unsubscribe():
    found = rare_packets.subscribe(0x1234, [(b"a/b", 1), (b"c", 0)])
    assert bytes(found) == b"\x82\x0c\x12\x34\x00\x03a/b\x01\x00\x01c\x00"
    found = rare_packets.unsubscribe(7, [b"a/b", b"c"])
    assert bytes(found) == b"\xa2\x0a\x00\x07\x00\x03a/b\x00\x01c"


def test_publish():
    buf = bytearray(40)
    size = packet.put_publish(buf, b"a/b", b"hello", 0, 0)
    assert bytes(buf[:size]) == b"\x30\x0a\x00\x03a/bhello"
    size = packet.put_publish(buf, b"a/b", b"hello", 0x0102, packet.RETAIN | packet.DUP)
    assert bytes(buf[:size]) == b"\x3b\x0c\x00\x03a/b\x01\x02hello"
    size = packet.put_publish(buf, b"t", b"", 0, packet.RETAIN)
    assert bytes(buf[:size]) == b"\x31\x03\x00\x01t"


def test_names_of_more_than_255_bytes():
    topic = bytes([97 + i % 26 for i in range(0x123)])
    buf = bytearray(400)
    size = packet.put_publish(buf, topic, b"p", 0x1234, 0)
    assert bytes(buf[:size]) == peer.message(topic, b"p", 0x1234)
    ((first, body),) = peer.split(bytes(rare_packets.subscribe(0x1234, [(topic, 1)])))
    assert peer.filters(first, body) == [(topic, 1)] and peer.packet_id(body) == 0x1234
    ((_, body),) = peer.split(bytes(rare_packets.connect(topic, 60, True)))
    assert body[10:] == b"\x01\x23" + topic


def test_publish_takes_any_bytes():
    expected = peer.message(b"\xe6\xb8\xa9", b"21\xe5\xba\xa6", 9)
    buf = bytearray(len(expected))
    for kind in (bytes, bytearray, memoryview):
        size = packet.put_publish(buf, b"\xe6\xb8\xa9", kind(b"21\xe5\xba\xa6"), 9, 0)
        assert (bytes(buf), size) == (expected, len(expected))


def test_publish_size_is_what_is_written():
    buf = bytearray(17000)
    for qos in (0, 1):
        for length in (0, 1, 110, 119, 120, 121, 122, 127, 128, 16369, 16371, 16372, 16374, 16400):
            payload = b"x" * length
            size = packet.publish_size(b"topic/12", payload, qos)
            assert packet.put_publish(buf, b"topic/12", payload, 5 * qos, 0) == size
            assert bytes(buf[:size]) == peer.message(b"topic/12", payload, 5 * qos), length


def test_publish_size_at_the_steps_of_the_length():
    class Sized:  # a payload that only has a length
        def __init__(self, size):
            self._size = size

        def __len__(self):
            return self._size

    for remaining, digits in LENGTHS[1:]:
        size = packet.publish_size(b"t", Sized(remaining - 3), 0)
        assert size == remaining + 1 + len(digits), remaining


def test_lengths_are_read_wherever_they_stand():
    for value, digits in LENGTHS:
        buf = b"\x30" + digits + b"\xff\xff"
        size = packet.length_size(buf, 1, len(buf))
        assert size == len(digits), value
        assert packet.length_value(buf, 1, size) == value


def test_an_incomplete_length_waits():
    for _, digits in LENGTHS:
        for cut in range(len(digits)):
            assert packet.length_size(digits[:cut], 0, cut) == 0
            # What lies behind the end is not looked at.
            assert packet.length_size(digits, 0, cut) == 0


def test_a_length_over_four_bytes_is_an_error():
    for buf in (b"\x80\x80\x80\x80", b"\xff\xff\xff\xff\x7f"):
        error = raises(ProtocolError, packet.length_size, buf, 0, len(buf))
        assert error.phase == "receive"
