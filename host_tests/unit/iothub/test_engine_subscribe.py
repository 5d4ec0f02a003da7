from iothub.errors import BadInput, ProtocolError
from iothub.mqtt import engine as mqtt

from host_tests.unit.iothub import peer
from host_tests.unit.iothub.expect import raises

MAX_SUBSCRIPTIONS = 32


def _asked(packets):
    """{first byte: [filter or (filter, qos)]} of the packets sent."""
    found: dict = {}
    for first, body in packets:
        found.setdefault(first, []).extend(peer.filters(first, body))
    return found


def test_a_filter_is_asked_for_and_granted():
    engine, driver = peer.online()
    subscription = engine.subscribe(b"a/+", 1, None)
    assert driver.take() == [(peer.SUBSCRIBE, b"\x00\x01\x00\x03a/+\x01")]
    assert subscription.granted is None and len(engine.requests_waiting) == 1
    peer.feed(engine, peer.suback(1, 1))
    assert subscription.granted == 1 and len(engine.requests_waiting) == 0
    assert driver.reports == [(mqtt.FILTER_GRANTED, subscription)]


def test_a_refused_filter_is_reported():
    engine, driver = peer.online()
    subscription = engine.subscribe(b"a", 1, None)
    peer.feed(engine, peer.suback(1, 128))
    assert subscription.granted == 128
    assert driver.reports == [(mqtt.FILTER_REFUSED, subscription)]


def test_a_lower_qos_may_be_granted():
    engine, _ = peer.online()
    subscription = engine.subscribe(b"a", 1, None)
    peer.feed(engine, peer.suback(1, 0))
    assert subscription.granted == 0


def test_subacks_may_come_in_any_order():
    engine, _ = peer.online()
    found = [engine.subscribe(b"f%d" % i, 1, None) for i in range(3)]
    for number, code in ((2, 1), (3, 128), (1, 0)):
        peer.feed(engine, peer.suback(number, code))
    assert [subscription.granted for subscription in found] == [0, 1, 128]


def test_malformed_subacks_are_errors():
    for data in (
        peer.suback(1),
        peer.suback(1, 0, 0),
        peer.suback(1, 2),
        peer.suback(1, 127),
        peer.suback(1, 129),
        peer.suback(1, 255),
        b"\x90\x00",
        b"\x90\x01\x00",
        b"\x92\x03\x00\x01\x00",
    ):
        engine, _ = peer.online()
        subscription = engine.subscribe(b"a", 1, None)
        raises(ProtocolError, peer.feed, engine, data)
        assert subscription.granted is None, data


def test_before_the_login_it_waits():
    engine, driver = peer.logging_in()
    engine.subscribe(b"a", 1, None)
    engine.subscribe(b"b", 0, None)
    assert driver.take() == []
    peer.feed(engine, peer.connack())
    # All of them in one packet.
    assert driver.take() == [(peer.SUBSCRIBE, b"\x00\x01\x00\x01a\x01\x00\x01b\x00")]
    peer.feed(engine, peer.suback(1, 1, 0))
    assert [s.granted for s in engine.subscriptions] == [1, 0]


def test_a_second_handler_of_a_filter_replaces_the_first():
    engine, driver = peer.online()
    first = engine.subscribe(b"a", 0, "handler 1")
    second = engine.subscribe(b"a", 1, "handler 2", True)
    assert second is first and len(engine.subscriptions) == 1
    assert (second.handler, second.qos, second.takes_view) == ("handler 2", 1, True)
    assert _asked(driver.take()) == {peer.SUBSCRIBE: [(b"a", 0), (b"a", 1)]}


def test_the_number_of_filters_is_bounded():
    engine, driver = peer.online()
    for i in range(MAX_SUBSCRIPTIONS):
        engine.subscribe(b"f%d" % i, 1, None)
    driver.take()
    assert raises(BadInput, engine.subscribe, b"one more", 1, None).field == "topic"
    assert driver.take() == []
    engine.subscribe(b"f0", 0, None)
    engine.unsubscribe(b"f1")
    engine.subscribe(b"one more", 1, None)


def test_messages_are_acknowledged_before_code_for_a_suback_is_loaded():
    engine, driver = peer.online()
    engine.subscribe(b"a", 1, None)
    driver.take()
    written = []
    driver.on_report = lambda what, detail: written.append((what, driver.take()))
    peer.feed(engine, peer.message(b"a", b"", 7) + peer.suback(1, 1))
    assert written == [(mqtt.FILTER_GRANTED, [(peer.PUBACK, b"\x00\x07")])]
    assert driver.take() == []


def test_unsubscribe():
    engine, driver = peer.online()
    peer.subscribed(engine, b"a")
    engine.unsubscribe(b"a")
    assert driver.take() == [(peer.UNSUBSCRIBE, b"\x00\x02\x00\x01a")]
    assert engine.subscriptions == [] and len(engine.requests_waiting) == 1
    peer.feed(engine, peer.unsuback(2))
    assert len(engine.requests_waiting) == 0
    engine.unsubscribe(b"never subscribed")
    assert driver.take() == []


def test_malformed_unsubacks_are_errors():
    for data in (b"\xb0\x00", b"\xb0\x01\x00", b"\xb0\x03\x00\x02\x00", b"\xb1\x02\x00\x02"):
        engine, _ = peer.online()
        peer.subscribed(engine, b"a")
        engine.unsubscribe(b"a")
        raises(ProtocolError, peer.feed, engine, data)


def test_messages_go_to_the_first_filter_that_matches():
    engine, driver = peer.online()
    for pattern in (b"a/b", b"a/+", b"#"):
        peer.subscribed(engine, pattern)
    for topic in (b"a/b", b"a/c", b"x", b"$sys/x"):
        peer.feed(engine, peer.message(topic, b"p"))
    assert driver.messages == [
        (b"a/b", b"a/b", b"p"),
        (b"a/+", b"a/c", b"p"),
        (b"#", b"x", b"p"),
        (None, b"$sys/x", b"p"),
    ]


def test_a_filter_without_wildcard_matches_the_whole_topic_only():
    engine, driver = peer.online()
    peer.subscribed(engine, b"a/b")
    for topic in (b"a/", b"a/bc", b"a/b/c", b"x/a/b"):
        peer.feed(engine, peer.message(topic, b"a/b"))
    assert [pattern for pattern, _, _ in driver.messages] == [None] * 4


# The session through a reconnect


def test_a_new_session_is_asked_for_every_filter():
    for clean_session in (True, False):
        engine, driver = peer.online(clean_session=clean_session)
        peer.subscribed(engine, b"a")
        peer.subscribed(engine, b"b", 0)
        sent = peer.reconnect(engine, 0)
        assert _asked(sent) == {peer.SUBSCRIBE: [(b"a", 1), (b"b", 0)]}
        assert driver.reported(mqtt.SESSION_LOST) == ([] if clean_session else [None])


def test_a_kept_session_is_not_asked_again():
    engine, driver = peer.online(clean_session=False)
    peer.subscribed(engine, b"a")
    assert peer.reconnect(engine, 1) == []
    assert driver.reported(mqtt.SESSION_LOST) == []
    assert engine.subscriptions[0].granted == 1


def test_a_kept_session_is_told_what_changed_offline():
    engine, driver = peer.online(clean_session=False)
    for pattern in (b"stays", b"goes", b"changes"):
        peer.subscribed(engine, pattern)
    engine.closed()
    engine.unsubscribe(b"goes")
    engine.subscribe(b"changes", 0, None)
    engine.subscribe(b"comes", 1, None)
    assert driver.take() == []
    sent = peer.reconnect(engine, 1)
    assert _asked(sent) == {
        peer.UNSUBSCRIBE: [b"goes"],
        peer.SUBSCRIBE: [(b"changes", 0), (b"comes", 1)],
    }
    assert sent[0][0] == peer.UNSUBSCRIBE


def test_a_new_session_need_not_forget():
    engine, _ = peer.online(clean_session=False)
    peer.subscribed(engine, b"goes")
    engine.closed()
    engine.unsubscribe(b"goes")
    assert peer.reconnect(engine, 0) == []
    assert peer.reconnect(engine, 1) == []


def test_a_filter_dropped_and_taken_again_offline_is_only_asked_for():
    engine, _ = peer.online(clean_session=False)
    peer.subscribed(engine, b"a")
    engine.closed()
    engine.unsubscribe(b"a")
    engine.subscribe(b"a", 1, None)
    assert _asked(peer.reconnect(engine, 1)) == {peer.SUBSCRIBE: [(b"a", 1)]}


def test_requests_without_answer_are_repeated():
    engine, driver = peer.online(clean_session=False)
    peer.subscribed(engine, b"goes")
    engine.subscribe(b"comes", 1, None)
    engine.unsubscribe(b"goes")
    expected = {peer.UNSUBSCRIBE: [b"goes"], peer.SUBSCRIBE: [(b"comes", 1)]}
    assert _asked(driver.take()) == expected
    for _ in range(3):
        assert _asked(peer.reconnect(engine, 1)) == expected
    assert len(engine.requests_waiting) == 2


def test_a_filter_taken_again_is_not_dropped_by_a_request_of_before():
    # UNSUBSCRIBE and SUBSCRIBE of one filter, the second answered, then the link breaks.
    engine, driver = peer.online(clean_session=False)
    peer.subscribed(engine, b"a")
    engine.unsubscribe(b"a")
    engine.subscribe(b"a", 1, None)
    number = peer.packet_id(driver.take()[1][1])
    peer.feed(engine, peer.suback(number, 1))
    assert peer.reconnect(engine, 1) == []


def test_a_refused_filter_is_asked_for_again_by_a_new_session_only():
    engine, driver = peer.online(clean_session=False)
    engine.subscribe(b"a", 1, None)
    peer.feed(engine, peer.suback(1, 128))
    driver.take()
    assert peer.reconnect(engine, 1) == []
    assert _asked(peer.reconnect(engine, 0)) == {peer.SUBSCRIBE: [(b"a", 1)]}


def test_answers_of_the_old_link_are_stray():
    engine, driver = peer.online(clean_session=False)
    engine.subscribe(b"a", 1, None)
    number = peer.packet_id(driver.take()[0][1])
    peer.reconnect(engine, 1)
    peer.feed(engine, peer.suback(number, 1))
    assert driver.reported(mqtt.STRAY_ACK) == [number]
    assert engine.subscriptions[0].granted is None


def test_dropped_filters_are_remembered_within_bounds():
    engine, _ = peer.online(clean_session=False)
    engine.closed()
    for i in range(100):
        engine.subscribe(b"f%d" % i, 1, None)
        engine.unsubscribe(b"f%d" % i)
    sent = _asked(peer.reconnect(engine, 1))
    assert sent == {peer.UNSUBSCRIBE: [b"f%d" % i for i in range(68, 100)]}
