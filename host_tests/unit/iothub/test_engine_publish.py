from iothub.mqtt import engine as mqtt
from iothub.store.flash_queue import FlashQueue
from iothub.store.queue import RamQueue

from host_tests.unit.iothub import peer
from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.memory_storage import MemoryStorage

WINDOW = 20
WINDOW_BYTES = 8192


def _ids(packets):
    return [peer.published(first, body)[2] for first, body in packets]


def _payloads(packets):
    return [peer.published(first, body)[1] for first, body in packets]


def _dups(packets):
    return [peer.published(first, body)[3] for first, body in packets]


def test_qos_0_is_sent_and_forgotten():
    engine, driver = peer.online()
    engine.publish(b"t", b"hello")
    engine.publish(b"t", b"kept", 1)
    assert driver.take() == [(0x30, b"\x00\x01thello"), (0x31, b"\x00\x01tkept")]
    assert len(engine.in_flight) == 0


def test_qos_0_of_any_size_is_one_write():
    engine, driver = peer.online()
    for size in (0, 250, 260, 1000, 16000, 5, 100000):
        engine.publish(b"t", b"x" * size)
        assert driver.writes == [peer.message(b"t", b"x" * size)], size
        driver.take()


def test_qos_1_is_kept_until_its_puback():
    engine, driver = peer.online()
    assert engine.offer(b"t", b"hello", "token")
    assert driver.take() == [(0x32, b"\x00\x01t\x00\x01hello")]
    assert len(engine.in_flight) == 1 and driver.acknowledged_tokens == []
    peer.feed(engine, peer.puback(1))
    assert len(engine.in_flight) == 0 and driver.acknowledged_tokens == ["token"]
    assert engine.acknowledged == 1


def test_a_publish_without_token_is_acknowledged_without_a_call():
    engine, driver = peer.online()
    engine.offer(b"t", b"hello")
    peer.feed(engine, peer.puback(1))
    assert driver.acknowledged_tokens == [] and engine.acknowledged == 1


def test_pubacks_may_come_in_any_order():
    engine, driver = peer.online()
    for i in range(5):
        engine.offer(b"t", b"p", i)
    for number in (3, 1, 5, 2, 4):
        peer.feed(engine, peer.puback(number))
    assert driver.acknowledged_tokens == [2, 0, 4, 1, 3]
    assert len(engine.in_flight) == 0 and driver.reports == []


def test_stray_acknowledgements_are_reported_and_harmless():
    engine, driver = peer.online()
    engine.offer(b"t", b"p", "token")
    for data in (
        peer.puback(7),
        peer.puback(0),
        peer.suback(1, 0),
        peer.unsuback(1),
        peer.puback(65535),
    ):
        peer.feed(engine, data)
    assert driver.reported(mqtt.STRAY_ACK) == [7, 0, 1, 1, 65535]
    assert len(engine.in_flight) == 1
    peer.feed(engine, peer.puback(1) + peer.puback(1))
    assert driver.acknowledged_tokens == ["token"]
    assert driver.reported(mqtt.STRAY_ACK)[-1] == 1


def test_the_window_is_bounded_by_count():
    engine, driver = peer.online()
    for _ in range(WINDOW):
        assert engine.offer(b"t", b"p")
    assert not engine.offer(b"t", b"p")
    assert len(engine.in_flight) == WINDOW and len(driver.take()) == WINDOW
    peer.feed(engine, peer.puback(9))
    assert engine.offer(b"t", b"p") and not engine.offer(b"t", b"p")


def test_the_window_is_bounded_by_bytes():
    engine, driver = peer.online()
    payload = b"x" * 1020  # a packet of 1028 bytes
    for _ in range(7):
        assert engine.offer(b"t", payload)
    assert not engine.offer(b"t", payload)
    room = WINDOW_BYTES - 7 * len(driver.writes[0])
    last = b"x" * (room - 8)
    assert not engine.offer(b"t", last + b"x")
    assert engine.offer(b"t", last)
    assert sum([len(packet) for packet in driver.writes]) == WINDOW_BYTES
    assert not engine.offer(b"t", b"")


def test_one_whole_message_always_fits():
    engine, _ = peer.online()
    large = b"x" * 16000
    assert engine.offer(b"t", large)
    assert not engine.offer(b"t", b"")
    peer.feed(engine, peer.puback(1))
    assert engine.offer(b"t", b"") and not engine.offer(b"t", large)


def test_offline_nothing_is_taken():
    engine, driver = peer.logging_in()
    assert not engine.offer(b"t", b"p")
    engine.closed()
    assert not engine.offer(b"t", b"p")
    assert driver.take() == []


def test_what_is_queued_goes_before_what_is_new():
    engine, driver = peer.online()
    engine.queue.put(b"t", b"older")
    assert not engine.offer(b"t", b"newer")
    peer.feed(engine, peer.PINGRESP)
    assert _payloads(driver.take()) == [b"older"]
    assert engine.offer(b"t", b"newer")


def test_packet_ids_wrap_after_half_their_range():
    engine, driver = peer.online()
    seen = set()
    for i in range(32767 + 5):
        engine.offer(b"t", b"")
        packet = driver.writes.pop()
        number = packet[5] << 8 | packet[6]
        assert number == i % 32767 + 1
        seen.add(number)
        peer.feed(engine, peer.puback(number))
    assert len(seen) == 32767 and 0 not in seen
    assert engine.acknowledged == 32772


def test_packet_ids_in_use_are_skipped():
    engine, driver = peer.online()
    engine.offer(b"t", b"stays in flight")
    engine.subscribe(b"s", 1, None)
    assert peer.packet_id(driver.take()[1][1]) == 2
    engine._last_packet_id = 32766
    for _ in range(3):
        engine.offer(b"t", b"")
    assert _ids(driver.take()) == [32767, 3, 4]


def test_what_was_in_flight_is_sent_again_with_dup_in_order():
    engine, driver = peer.online()
    for i in range(5):
        engine.offer(b"t", b"%d" % i, i)
    first = driver.take()
    peer.feed(engine, peer.puback(2))
    for present in (0, 1, 1):
        again = peer.reconnect(engine, present)
        assert _ids(again) == [1, 3, 4, 5]
        assert _payloads(again) == [b"0", b"2", b"3", b"4"]
        assert _dups(again) == [True] * 4
    assert _dups(first) == [False] * 5
    for number in (1, 3, 4, 5):
        peer.feed(engine, peer.puback(number))
    assert driver.acknowledged_tokens == [1, 0, 2, 3, 4]


def test_resent_large_messages_are_whole():
    engine, driver = peer.online()
    engine.offer(b"t", b"x" * 5000, "token", 1)
    driver.take()
    assert peer.reconnect(engine) == [(0x3B, b"\x00\x01t\x00\x01" + b"x" * 5000)]


def test_after_login_come_subscriptions_then_in_flight_then_the_queue():
    engine, _ = peer.online()
    peer.subscribed(engine, b"s")
    for payload in (b"flight 1", b"flight 2"):
        engine.offer(b"t", payload)
    engine.closed()
    for payload in (b"queue 1", b"queue 2"):
        engine.queue.put(b"t", payload)
    sent = peer.reconnect(engine)
    assert sent[0][0] == peer.SUBSCRIBE
    assert _payloads(sent[1:]) == [b"flight 1", b"flight 2", b"queue 1", b"queue 2"]
    assert _dups(sent[1:]) == [True, True, False, False]
    assert len(engine.queue) == 0


def test_a_report_that_publishes_does_not_overtake_what_was_in_flight():
    engine, driver = peer.online(clean_session=False)
    engine.offer(b"t", b"older")
    engine.closed()
    driver.take()
    driver.on_report = lambda what, detail: engine.offer(b"t", b"report %d" % what)
    sent = peer.reconnect(engine)
    assert _payloads(sent) == [
        b"older",
        b"report %d" % mqtt.SESSION_LOST,
        b"report %d" % mqtt.ONLINE_AGAIN,
    ]
    assert _dups(sent) == [True, False, False]


def test_the_queue_moves_as_the_window_empties():
    engine, driver = peer.online()
    for _ in range(WINDOW):
        engine.offer(b"t", b"")
    for i in range(30):
        engine.queue.put(b"t", b"%d" % i, i)
    driver.take()
    order = []
    number = 0
    while engine.in_flight:
        number += 1
        peer.feed(engine, peer.puback(number))
        order += _payloads(driver.take())
    assert order == [b"%d" % i for i in range(30)]
    assert driver.acknowledged_tokens == list(range(30))
    assert number == WINDOW + 30


def test_the_queue_leaves_as_far_as_the_window_has_room():
    for payload, count in ((b"p", WINDOW), (b"x" * 1020, 7), (b"x" * 9000, 1)):
        queue = RamQueue(100, 300000)
        for _ in range(30):
            queue.put(b"t", payload)
        engine, driver = peer.logging_in(queue=queue)
        peer.feed(engine, peer.connack())
        assert len(driver.take()) == len(engine.in_flight) == count
        peer.feed(engine, peer.puback(1))
        assert len(driver.take()) == 1 and len(queue) == 30 - count - 1


def test_what_an_earlier_run_queued_keeps_its_id_and_comes_with_dup():
    storage = MemoryStorage()
    for token in (b"1", b"2"):
        FlashQueue(storage).put(b"t", token)
    queue = FlashQueue(storage)
    queue.put(b"t", b"3", "token")
    engine, driver = peer.logging_in(queue=queue)
    peer.feed(engine, peer.connack())
    sent = driver.take()
    assert _ids(sent) == [32768, 32769, 32770]
    assert _dups(sent) == [True, True, False]
    for number in _ids(sent):
        peer.feed(engine, peer.puback(number))
    assert driver.acknowledged_tokens == ["token"] and queue.unsettled == 0


def test_a_queued_message_waits_until_its_id_is_free():
    storage = MemoryStorage()
    queue = FlashQueue(storage, segment_bytes=16)
    queue.put(b"t", b"1")
    queue._last_id = 0xFFFF  # as after 32,768 more
    queue.put(b"t", b"2")
    engine, driver = peer.logging_in(queue=queue)
    peer.feed(engine, peer.connack())
    assert _payloads(driver.take()) == [b"1"]
    peer.feed(engine, peer.puback(32768))
    sent = driver.take()
    assert (_payloads(sent), _ids(sent)) == ([b"2"], [32768])


def test_the_queue_waits_for_the_login():
    queue = RamQueue()
    queue.put(b"t", b"p")
    engine, driver = peer.logging_in(queue=queue)
    assert driver.writes == [] and len(queue) == 1
    peer.feed(engine, peer.connack())
    assert _payloads(driver.take()) == [b"p"]


def test_without_memory_to_send_it_a_message_stays_in_the_queue():
    class Endless:
        def __len__(self):
            return 1 << 45

    queue = RamQueue()
    queue.put(b"t", b"p", "token")
    engine, driver = peer.logging_in(queue=queue)
    queue.peek().payload = Endless()
    raises(MemoryError, peer.feed, engine, peer.connack())
    queue.peek().payload = b"p"
    assert len(queue) == 1 and engine.in_flight == []
    assert _payloads(peer.reconnect(engine)) == [b"p"]
    peer.feed(engine, peer.puback(1))
    assert driver.acknowledged_tokens == ["token"] and queue.unsettled == 0


def test_retain_survives_window_and_queue():
    queue = RamQueue()
    queue.put(b"t", b"queued", None, 1)
    engine, driver = peer.logging_in(queue=queue)
    peer.feed(engine, peer.connack())
    engine.offer(b"t", b"offered", None, 1)
    assert [first for first, _ in driver.take()] == [0x33, 0x33]
    assert [first for first, _ in peer.reconnect(engine)] == [0x3B, 0x3B]


def test_an_abandoned_publish_is_not_sent_again():
    engine, driver = peer.online()
    token = bytearray(1)
    engine.offer(b"t", b"x" * 8000, token)
    engine.offer(b"t", b"other", bytearray(1))
    engine.abandon(token)
    engine.abandon(token)
    assert len(engine.in_flight) == 1
    driver.take()
    assert _payloads(peer.reconnect(engine)) == [b"other"]
    # Its bytes are free again.
    assert engine.offer(b"t", b"x" * 8000)


def test_an_abandoned_publish_leaves_the_queue_too():
    for make_queue in (RamQueue, lambda: FlashQueue(MemoryStorage())):
        queue = make_queue()
        queue.put(b"t", b"p", "token")
        queue.put(b"t", b"other", "other")
        engine, driver = peer.logging_in(queue=queue)
        peer.feed(engine, peer.connack())
        driver.take()
        engine.abandon("token")
        assert queue.unsettled == len(engine.in_flight) == 1
        assert _payloads(peer.reconnect(engine)) == [b"other"]
