"""The byte stream from the server: cut anywhere, too large, malformed, or too large for the
heap."""

import gc

from iothub.errors import ProtocolError
from iothub.mqtt import engine as mqtt

from host_tests.unit.iothub import peer
from host_tests.unit.iothub.expect import Replaced, raises

SMALL_BUFFER = 1024
MAX_PACKET = 16384  # remaining length
AFTER = (None, b"after", b"still in step")


def _session_stream():
    """What a server sends in a session, and the messages in it."""
    stream = peer.connack()
    messages = []
    for number, size in enumerate((0, 1, 119, 120, 121, 300)):
        payload = bytes([(number + i) % 256 for i in range(size)])
        stream += peer.message(b"a/b", payload, number + 1 if number % 2 else 0)
        messages.append((None, b"a/b", payload))
        stream += peer.puback(number + 100)
    return stream + peer.PINGRESP, messages


def _take(chunks):
    """What a session makes of these chunks, each read at once."""
    engine, driver = peer.logging_in()
    for chunk in chunks:
        peer.feed(engine, chunk)
    return driver, [body for first, body in driver.take() if first == peer.PUBACK]


def _oversize(size, number=0, topic=b"big"):
    """A PUBLISH with a remaining length of `size`."""
    return peer.message(topic, b"x" * (size - 2 - len(topic) - (2 if number else 0)), number)


def _still_in_step(engine, driver):
    peer.feed(engine, peer.message(*AFTER[1:]))
    return driver.messages[-1] == AFTER


def test_a_stream_cut_at_any_byte_says_the_same():
    stream, messages = _session_stream()
    whole, whole_acks = _take([stream])
    assert whole.messages == messages and len(whole_acks) == 3
    for cut in range(len(stream) + 1):
        driver, acks = _take([stream[:cut], stream[cut:]])
        assert driver.messages == messages, cut
        assert driver.reports == whole.reports and acks == whole_acks, cut


def test_a_stream_byte_by_byte_says_the_same():
    stream, messages = _session_stream()
    driver, acks = _take([stream[i : i + 1] for i in range(len(stream))])
    assert driver.messages == messages and len(acks) == 3


def test_a_stream_in_steps_of_any_size_says_the_same():
    stream, messages = _session_stream()
    for step in range(2, 140):
        chunks = [stream[i : i + step] for i in range(0, len(stream), step)]
        driver, acks = _take(chunks)
        assert driver.messages == messages and len(acks) == 3, step


def test_messages_read_together_are_acknowledged_in_one_write():
    engine, driver = peer.online()
    peer.feed(engine, b"".join([peer.message(b"t", b"", i) for i in range(1, 16)]))
    assert len(driver.writes) == 1
    assert [peer.packet_id(body) for _, body in driver.take()] == list(range(1, 16))


def test_more_acknowledgements_than_are_gathered_are_all_sent():
    engine, driver = peer.online()
    for count in (20, 21, 41, 100):
        peer.feed(engine, b"".join([peer.message(b"t", b"", i) for i in range(1, count + 1)]))
        assert [peer.packet_id(body) for _, body in driver.take()] == list(range(1, count + 1))


def test_a_message_that_is_not_taken_is_not_acknowledged():
    engine, driver = peer.online(on_message=lambda *args: False)
    peer.feed(engine, peer.message(b"t", b"p", 7))
    assert driver.take() == [] and len(driver.messages) == 1
    driver.on_message = None
    peer.feed(engine, peer.message(b"t", b"p", 7, 8))
    assert driver.take() == [(peer.PUBACK, b"\x00\x07")]


def test_a_message_may_be_acknowledged_later_on_the_same_link():
    engine, driver = peer.online(on_message=lambda *args: False)
    for number in (0, 7, 0x1234):
        peer.feed(engine, peer.message(b"t", b"p", number))
        assert engine.received_id == number and driver.take() == []
    engine.acknowledge(0x1234)
    assert driver.take() == [(peer.PUBACK, b"\x12\x34")]
    engine.closed()
    engine.acknowledge(7)
    assert driver.take() == []


def test_the_first_byte_of_the_packet_is_known():
    headers = []
    engine, driver = peer.online()
    driver.on_message = lambda *args: headers.append(engine.last_header)
    peer.feed(engine, peer.message(b"t", b"") + peer.message(b"t", b"", 1, 9))
    peer.feed(engine, peer.PINGRESP)
    assert headers == [0x30, 0x3B] and engine.last_header == 0xD0


def test_a_topic_of_any_length_arrives_whole():
    for size in (1, 255, 256, 300, 513, 1000):
        engine, driver = peer.online()
        topic = bytes([97 + i % 26 for i in range(size)])
        peer.feed(engine, peer.message(topic, b"p", 7) + peer.message(topic, b"q"))
        assert driver.messages == [(None, topic, b"p"), (None, topic, b"q")]
        assert driver.take() == [(peer.PUBACK, b"\x00\x07")]


# Large packets


def test_packets_at_the_sizes_of_the_buffers_arrive():
    for start in (SMALL_BUFFER - 8, MAX_PACKET - 6):
        for size in range(start, start + 7):
            for number in (0, 9):
                for step in (1, 7, 1000, 20000):
                    if step == 1 and size > 2000 and size != MAX_PACKET:
                        continue
                    engine, driver = peer.online()
                    data = _oversize(size, number)
                    peer.feed(engine, data, step)
                    assert len(driver.messages) == 1, (size, number, step)
                    assert driver.messages[0][2] == data[-len(driver.messages[0][2]) :]
                    assert driver.reported(mqtt.OVERSIZE) == []
                    assert _still_in_step(engine, driver)


def test_the_buffer_grows_once_and_keeps_what_it_holds():
    engine, driver = peer.online()
    small = peer.message(b"t", b"s" * 500)
    large = peer.message(b"t", b"l" * 10000)
    peer.feed(engine, small + large + small + large)
    assert [len(payload) for _, _, payload in driver.messages] == [500, 10000, 500, 10000]
    assert driver.messages[1][2] == b"l" * 10000
    assert MAX_PACKET <= len(engine.space()) <= MAX_PACKET + 5


def test_what_is_left_of_a_read_moves_to_the_front_without_a_copy():
    engine, driver = peer.online()
    peer.feed(engine, peer.message(b"t", b"l" * 10000))  # the buffer has grown
    pattern = bytes([i * 7 % 251 for i in range(15000)])
    data = peer.message(b"t", b"s" * 10) + peer.message(b"t", pattern)
    read_bytes = 14000  # all of the first message, and most of the second
    engine.space()[:read_bytes] = data[:read_bytes]
    gc.collect()
    gc.disable()
    try:
        before_bytes = _allocated_bytes()
        engine.received(read_bytes)
        assert _allocated_bytes() - before_bytes < 1000
    finally:
        gc.enable()
    peer.feed(engine, data[read_bytes:])
    assert [payload for _, _, payload in driver.messages[1:]] == [b"s" * 10, pattern]


def _allocated_bytes():
    return gc.mem_alloc() if hasattr(gc, "mem_alloc") else 0  # CPython does not count


def test_an_oversize_packet_is_skipped_and_reported():
    for size in (MAX_PACKET + 1, 20000, 65536, 300000):
        for step in (500, 16384):
            engine, driver = peer.online()
            data = _oversize(size)
            peer.feed(engine, data, step)
            assert driver.reported(mqtt.OVERSIZE) == [len(data)]
            assert driver.messages == [] and driver.writes == []
            assert _still_in_step(engine, driver)
            assert len(engine.space()) == SMALL_BUFFER


def test_an_oversize_qos_1_message_is_acknowledged_once():
    for size in (MAX_PACKET + 1, 300000):
        engine, driver = peer.online()
        peer.feed(engine, _oversize(size, 0x1234))
        assert driver.take() == [(peer.PUBACK, b"\x12\x34")]
        assert driver.reported(mqtt.OVERSIZE) == [size + 4]
        assert _still_in_step(engine, driver)


def test_an_oversize_packet_may_be_cut_anywhere():
    data = _oversize(MAX_PACKET + 1, 0x1234, b"a/topic")
    around = list(range(1, 30)) + [1023, 1024, 1025, len(data) - 1]
    for cut in around:
        for lead in (b"", peer.PINGRESP, peer.message(b"t", b"x" * 500)):
            engine, driver = peer.online()
            peer.feed(engine, lead + data[:cut])
            peer.feed(engine, data[cut:] + peer.message(*AFTER[1:]))
            assert driver.take() == [(peer.PUBACK, b"\x12\x34")], cut
            assert driver.reported(mqtt.OVERSIZE) == [len(data)], cut
            assert driver.messages[-1] == AFTER, cut


def test_an_oversize_packet_byte_by_byte():
    engine, driver = peer.online()
    peer.feed(engine, _oversize(MAX_PACKET + 1, 0x1234), 1)
    assert driver.take() == [(peer.PUBACK, b"\x12\x34")]
    assert _still_in_step(engine, driver)


def test_oversize_packets_in_a_row():
    engine, driver = peer.online()
    peer.feed(engine, b"".join([_oversize(MAX_PACKET + i, i) for i in range(1, 6)]))
    assert [peer.packet_id(body) for _, body in driver.take()] == [1, 2, 3, 4, 5]
    assert _still_in_step(engine, driver)


def test_a_topic_longer_than_the_buffer_is_skipped():
    engine, driver = peer.online()
    peer.feed(engine, _oversize(60000, 5, b"t" * 30000))
    assert len(driver.reported(mqtt.OVERSIZE)) == 1
    assert _still_in_step(engine, driver)


def test_only_a_publish_may_be_large():
    for first, state in ((0x20, peer.logging_in), (0x40, peer.online), (0x90, peer.online)):
        engine, driver = state()
        raises(ProtocolError, peer.feed, engine, peer.frame(first, b"\x00\x01" * 20000))
        assert driver.reports == [], first


def test_without_memory_to_grow_a_packet_is_skipped_and_reported():
    def exhausted(size):
        raise MemoryError("no heap for %d bytes" % size)

    for number, acks in ((0, []), (0x1234, [(peer.PUBACK, b"\x12\x34")])):
        engine, driver = peer.online()
        data = _oversize(8000, number)
        with Replaced(mqtt, "bytearray", exhausted):
            peer.feed(engine, data)
        assert driver.reported(mqtt.OVERSIZE) == [len(data)]
        assert driver.take() == acks and driver.messages == []
        assert _still_in_step(engine, driver)
        # With memory again, the next one is taken.
        peer.feed(engine, data)
        assert len(driver.messages[-1][2]) > 7900


def test_without_memory_for_the_view_the_buffer_stays_as_it_was():
    def exhausted(buf):
        raise MemoryError("no heap for a view")

    engine, driver = peer.online()
    with Replaced(mqtt, "memoryview", exhausted):
        peer.feed(engine, _oversize(8000)[:5000])
    peer.feed(engine, _oversize(8000)[5000:])
    assert driver.messages == []
    assert _still_in_step(engine, driver)


# Malformed packets


def test_malformed_publishes_are_errors_and_not_delivered():
    for data in (
        b"\x30\x00",
        b"\x30\x01\x00",
        b"\x30\x02\x00\x00",
        b"\x30\x02\x00\x01",
        b"\x30\x03\x00\x02t",
        b"\x30\x03\xff\xfft",
        b"\x30\x05\x00\x00abc",
        b"\x32\x03\x00\x01t",
        b"\x32\x04\x00\x01t\x00",
        b"\x32\x05\x00\x01t\x00\x00",
        b"\x32\x06\x00\x01t\x00\x00p",
        b"\x34\x06\x00\x01t\x00\x01p",
        b"\x36\x06\x00\x01t\x00\x01p",
    ):
        engine, driver = peer.online()
        error = raises(ProtocolError, peer.feed, engine, data + peer.PINGRESP)
        assert error.phase == "receive"
        assert driver.messages == [] and driver.take() == [], data


def test_reserved_flags_are_errors():
    for first in (0x20, 0x40, 0x90, 0xB0, 0xD0):
        for flags in range(1, 16):
            engine, _ = peer.logging_in() if first == 0x20 else peer.online()
            engine.offer(b"t", b"p")
            body = b"" if first == 0xD0 else b"\x00\x01"
            raises(ProtocolError, peer.feed, engine, peer.frame(first | flags, body))


def test_acknowledgements_of_another_size_are_errors():
    for first in (0x40, 0xB0):
        for body in (b"", b"\x00", b"\x00\x01\x00", b"\x00\x01" * 100):
            engine, driver = peer.online()
            engine.offer(b"t", b"p", "token")
            raises(ProtocolError, peer.feed, engine, peer.frame(first, body))
            assert driver.acknowledged_tokens == []
    for body in (b"", b"\x00", b"\x00\x00\x00"):
        engine, _ = peer.logging_in()
        raises(ProtocolError, peer.feed, engine, peer.frame(0x20, body))
    engine, _ = peer.online()
    raises(ProtocolError, peer.feed, engine, b"\xd0\x01\x00")


def test_a_length_over_four_bytes_is_an_error():
    for length in (b"\x80\x80\x80\x80\x01", b"\xff\xff\xff\xff\x7f", b"\xff\xff\xff\xff"):
        for step in (1, 2, 3, 6):
            engine, _ = peer.online()
            raises(ProtocolError, peer.feed, engine, b"\x30" + length, step)


def test_a_longer_form_of_a_small_length_is_taken():
    engine, driver = peer.online()
    peer.feed(engine, b"\x30\x84\x80\x00\x00\x01tp", 1)
    assert driver.messages == [(None, b"t", b"p")]


def test_after_an_error_the_next_link_works():
    for data in (b"\x00\x00", b"\x30\x00", b"\x30\xff\xff\xff\xff", b"\x40\x00"):
        engine, driver = peer.online()
        peer.subscribed(engine, b"s")
        engine.offer(b"t", b"p", "token")
        raises(ProtocolError, peer.feed, engine, data)
        sent = peer.reconnect(engine)
        assert [first for first, _ in sent] == [peer.SUBSCRIBE, 0x3A], data
        peer.feed(engine, peer.puback(peer.published(*sent[1])[2]))
        assert driver.acknowledged_tokens == ["token"]
        assert _still_in_step(engine, driver)
