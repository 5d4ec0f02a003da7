from iothub.services.broadcast import Broadcast

from host_tests.unit.iothub.service_driver import IDENTITY, Driver

TOPIC = b"$broadcast/rxd/PRODUCTID1/dev01"


def test_a_broadcast_reaches_the_handler_as_it_is():
    broadcast = Broadcast(Driver(), IDENTITY)
    assert broadcast.pattern == TOPIC and broadcast.qos == 1
    seen: list = []

    @broadcast
    def handler(payload):
        seen.append(payload)

    for payload in (b"", b"\xff\x00", b'{"a":1}', b"x" * 16000):
        broadcast.received(TOPIC, payload)
        assert seen.pop() == payload


def test_a_coroutine_is_handed_on_to_the_session():
    broadcast = Broadcast(Driver(), IDENTITY)

    @broadcast
    async def handler(payload):
        return payload

    coroutine = broadcast.received(TOPIC, b"x")
    assert hasattr(coroutine, "send")
    coroutine.close()


def test_without_a_handler_it_is_passed_over():
    broadcast = Broadcast(Driver(), IDENTITY)
    assert broadcast.received(TOPIC, b"x") is None
    broadcast.connected()
    assert not broadcast.advance(250)
