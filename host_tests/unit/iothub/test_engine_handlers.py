"""What a handler may do while the engine takes packets."""

from iothub.mqtt import engine as mqtt

from host_tests.unit.iothub import peer


def test_a_handler_may_publish():
    def handler(subscription, topic, payload):
        engine.publish(b"echo/0", payload)
        engine.offer(b"echo/1", bytes(payload))
        return True

    engine, driver = peer.online(on_message=handler)
    peer.feed(engine, peer.message(b"t", b"one", 1) + peer.message(b"t", b"two", 2))
    sent = driver.take()
    assert [peer.published(*packet)[:3] for packet in sent[:4]] == [
        (b"echo/0", b"one", 0),
        (b"echo/1", b"one", 1),
        (b"echo/0", b"two", 0),
        (b"echo/1", b"two", 2),
    ]
    assert sent[4:] == [(peer.PUBACK, b"\x00\x01"), (peer.PUBACK, b"\x00\x02")]


def test_a_handler_may_publish_more_than_the_window_holds():
    def handler(subscription, topic, payload):
        for i in range(30):
            if not engine.offer(b"t", b"%d" % i, i):
                engine.queue.put(b"t", b"%d" % i, i)
        return True

    engine, driver = peer.online(on_message=handler)
    peer.feed(engine, peer.message(b"go", b""))
    number = 0
    while engine.in_flight:
        number += 1
        peer.feed(engine, peer.puback(number))
    payloads = [peer.published(*packet)[1] for packet in driver.take()]
    assert payloads == [b"%d" % i for i in range(30)]
    assert driver.acknowledged_tokens == list(range(30))


def test_a_handler_may_subscribe():
    def handler(subscription, topic, payload):
        engine.subscribe(bytes(payload), 1, None)
        return True

    engine, driver = peer.online(on_message=handler)
    peer.feed(engine, peer.message(b"go", b"new/1") + peer.message(b"go", b"new/2"))
    assert [peer.filters(*packet) for packet in driver.take()] == [
        [(b"new/1", 1)],
        [(b"new/2", 1)],
    ]
    peer.feed(engine, peer.suback(1, 1) + peer.suback(2, 1) + peer.message(b"new/2", b"x"))
    assert driver.messages[-1][:2] == (b"new/2", b"new/2")


def test_a_handler_may_unsubscribe_itself():
    def handler(subscription, topic, payload):
        engine.unsubscribe(subscription.pattern)
        return True

    engine, driver = peer.online()
    for pattern in (b"a", b"b", b"c"):
        peer.subscribed(engine, pattern)
    driver.on_message = handler
    peer.feed(engine, peer.message(b"a", b"", 1) + peer.message(b"c", b"", 2))
    assert [s.pattern for s in engine.subscriptions] == [b"b"]
    assert [first for first, _ in driver.take()] == [
        peer.UNSUBSCRIBE,
        peer.UNSUBSCRIBE,
        peer.PUBACK,
        peer.PUBACK,
    ]


def test_a_handler_that_disconnects_stops_the_stream():
    def handler(subscription, topic, payload):
        engine.disconnect()
        return True

    engine, driver = peer.online(on_message=handler)
    peer.feed(engine, peer.message(b"t", b"1", 1) + peer.message(b"t", b"2", 2))
    assert engine.state == mqtt.CLOSED
    assert [payload for _, _, payload in driver.messages] == [b"1"]
    # Not acknowledged after the goodbye.
    assert driver.take() == [(peer.DISCONNECT, b"")]
    driver.on_message = None
    peer.reconnect(engine)
    assert driver.take() == []


def test_a_handler_that_fails_leaves_the_engine_usable_after_a_reconnect():
    def handler(subscription, topic, payload):
        raise ValueError("the application's fault")

    engine, driver = peer.online(on_message=handler)
    failed = False
    try:
        peer.feed(engine, peer.message(b"t", b"1", 1))
    except ValueError:
        failed = True
    assert failed and driver.take() == []
    driver.on_message = None
    peer.reconnect(engine)
    peer.feed(engine, peer.message(b"t", b"1", 1, 8))
    assert driver.take() == [(peer.PUBACK, b"\x00\x01")]


def test_the_acknowledgement_of_a_publish_may_publish_the_next():
    engine, driver = peer.online()
    tokens = list(range(50))

    class Chain(peer.Driver):
        def acknowledged(self, token):
            peer.Driver.acknowledged(self, token)
            if tokens:
                engine.offer(b"t", b"", tokens.pop(0))

    driver = engine._driver = Chain()
    engine.offer(b"t", b"", tokens.pop(0))
    number = 0
    while engine.in_flight:
        number += 1
        peer.feed(engine, peer.puback(number))
    assert driver.acknowledged_tokens == list(range(50))


def test_a_report_may_subscribe():
    engine, driver = peer.logging_in()

    def on_report(what, detail):
        if what == mqtt.ONLINE_AGAIN:
            engine.subscribe(b"a", 1, None)

    driver.on_report = on_report
    peer.feed(engine, peer.connack())
    assert driver.take() == [(peer.SUBSCRIBE, b"\x00\x01\x00\x01a\x01")]


def test_a_report_may_disconnect():
    engine, driver = peer.logging_in()
    engine.subscribe(b"a", 1, None)
    peer.feed(engine, peer.connack())
    driver.on_report = lambda what, detail: engine.disconnect()
    peer.feed(engine, peer.suback(1, 1) + peer.message(b"a", b"never taken"))
    assert engine.state == mqtt.CLOSED and len(engine.requests_waiting) == 0
    assert driver.messages == []


def test_the_payload_is_a_view_and_the_topic_of_a_plain_filter_is_its_own():
    kinds = []

    def handler(subscription, topic, payload):
        kinds.append((type(topic), type(payload), topic is pattern))
        return True

    pattern = b"a/b"
    engine, _ = peer.online(on_message=handler)
    peer.subscribed(engine, pattern)
    peer.feed(engine, peer.message(b"a/b", b"x"))
    assert kinds == [(bytes, memoryview, True)]
