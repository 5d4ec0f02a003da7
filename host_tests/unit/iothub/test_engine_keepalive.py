from iothub.errors import DeadlineError
from iothub.timeouts import ACKNOWLEDGE_MS, PINGRESP_MS

from host_tests.unit.iothub import peer
from host_tests.unit.iothub.expect import raises

PING = [(peer.PINGREQ, b"")]


def _run(engine, duration_ms, step_ms=1000):
    for _ in range(duration_ms // step_ms):
        engine.advance(step_ms)


def test_an_idle_link_is_pinged_at_half_the_keepalive():
    for keepalive_s in (1, 10, 240, 900, 65535):
        engine, driver = peer.online(keepalive_s)
        engine.advance(keepalive_s * 500 - 1)
        assert driver.take() == []
        engine.advance(1)
        assert driver.take() == PING


def test_without_keepalive_nothing_is_pinged():
    engine, driver = peer.online(0)
    _run(engine, 7 * 24 * 3600 * 1000, 3600 * 1000)
    assert driver.take() == []


def test_an_answered_ping_is_followed_by_the_next():
    engine, driver = peer.online(60)
    for _ in range(5):
        _run(engine, 30000)
        assert driver.take() == PING
        peer.feed(engine, peer.PINGRESP)


def test_a_silent_server_is_dead_after_the_deadline():
    engine, driver = peer.online(60)
    _run(engine, 30000)
    assert driver.take() == PING
    engine.advance(PINGRESP_MS - 1)
    error = raises(DeadlineError, engine.advance, 1)
    assert error.phase == "keepalive"
    assert driver.take() == []


def test_anything_received_is_a_sign_of_life():
    engine, driver = peer.online(60)
    _run(engine, 30000)
    assert driver.take() == PING
    peer.feed(engine, peer.message(b"t", b"half")[:3])
    _run(engine, 20000)
    assert driver.take() == []


def test_sending_alone_does_not_hide_a_dead_server():
    # The link broke without a word, and the application goes on to publish with QoS 0.
    engine, driver = peer.online(60)
    lived_ms = 0
    try:
        while lived_ms < 600000:
            engine.publish(b"t", b"reading")
            engine.advance(1000)
            lived_ms += 1000
    except DeadlineError:
        pass
    assert lived_ms <= 30000 + PINGRESP_MS, lived_ms
    assert driver.take().count(PING[0]) == 1


def test_a_link_with_traffic_both_ways_is_not_pinged():
    for send in (
        lambda engine: engine.publish(b"t", b"x"),
        lambda engine: peer.feed(engine, peer.message(b"t", b"x", 7)),
    ):
        engine, driver = peer.online(60)
        engine.advance(20000)
        peer.feed(engine, peer.message(b"t", b"x"))
        send(engine)
        assert len(driver.take()) == 1
        engine.advance(29999)
        assert driver.take() == []
        engine.advance(1)
        assert driver.take() == PING


def test_pinging_by_hand_does_not_push_the_deadline_either():
    engine, _ = peer.online(0)
    engine.ping()
    engine.advance(PINGRESP_MS - 1)
    engine.ping()
    raises(DeadlineError, engine.advance, 1)


def test_receiving_alone_does_not_keep_the_session_alive():
    # The server drops a client that is silent for 1.5 times the keepalive, whatever it sends it.
    engine, driver = peer.online(60)
    for _ in range(60):
        peer.feed(engine, peer.message(b"t", b"x"))
        engine.advance(1000)
    assert driver.take().count(PING[0]) == 2


def test_a_missing_acknowledgement_has_a_deadline():
    engine, _ = peer.online(0)
    engine.offer(b"t", b"first")
    engine.advance(ACKNOWLEDGE_MS - 5)
    engine.offer(b"t", b"second")
    engine.advance(4)
    assert raises(DeadlineError, engine.advance, 1).phase == "publish"


def test_the_oldest_that_still_waits_has_the_deadline():
    engine, _ = peer.online(0)
    engine.offer(b"t", b"first")
    engine.advance(ACKNOWLEDGE_MS - 5)
    engine.offer(b"t", b"second")
    peer.feed(engine, peer.puback(1))
    engine.advance(ACKNOWLEDGE_MS - 1)
    raises(DeadlineError, engine.advance, 1)


def test_a_missing_suback_has_a_deadline():
    for request in (
        lambda engine: engine.subscribe(b"t", 1, None),
        lambda engine: engine.unsubscribe(b"u"),
    ):
        engine, _ = peer.online(0)
        peer.subscribed(engine, b"u")
        request(engine)
        engine.advance(ACKNOWLEDGE_MS - 1)
        raises(DeadlineError, engine.advance, 1)


def test_a_resent_publish_has_a_deadline_of_its_own():
    engine, _ = peer.online(0)
    engine.offer(b"t", b"p")
    engine.advance(ACKNOWLEDGE_MS - 1)
    peer.reconnect(engine)
    engine.advance(ACKNOWLEDGE_MS - 1)
    raises(DeadlineError, engine.advance, 1)


def test_a_closed_link_has_no_deadlines():
    engine, driver = peer.online(10)
    engine.offer(b"t", b"p")
    engine.closed()
    _run(engine, 24 * 3600 * 1000, 3600 * 1000)
    assert driver.take() == [(0x32, b"\x00\x01t\x00\x01p")]


def test_the_clock_wraps_without_a_trace():
    # The engine counts 29 bits of milliseconds, six days.
    engine, driver = peer.online(600)
    day_ms = 24 * 3600 * 1000
    pings = 0
    for _ in range(15 * day_ms // 60000):
        engine.advance(60000)
        for _ in driver.take():
            pings += 1
            peer.feed(engine, peer.PINGRESP)
    assert pings == 15 * day_ms // 300000
