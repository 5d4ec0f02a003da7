from iothub.errors import QueueFull
from iothub.store.queue import RamQueue

from host_tests.unit.iothub.expect import raises


def _drain(queue):
    found = []
    while len(queue):
        found.append(queue.peek())
        queue.drop()
    return found


def test_messages_come_out_as_they_went_in():
    queue = RamQueue()
    for i in range(5):
        assert queue.put(b"t%d" % i, b"p", i, i & 1) == []
    assert len(queue) == 5
    assert _drain(queue) == [(b"t%d" % i, b"p", i, i & 1) for i in range(5)]


def test_looking_does_not_take():
    queue = RamQueue()
    queue.put(b"t", b"p")
    assert queue.peek() == queue.peek() == (b"t", b"p", None, 0)
    assert len(queue) == 1


def test_it_keeps_copies():
    queue = RamQueue()
    topic = bytearray(b"t")
    payload = bytearray(b"payload")
    queue.put(topic, memoryview(payload)[:3])
    topic[0] = payload[0] = 0
    assert queue.peek()[:2] == (b"t", b"pay")


def test_the_count_is_bounded():
    queue = RamQueue(max_messages=3)
    for i in range(3):
        queue.put(b"t", bytes((i,)), i)
    error = raises(QueueFull, queue.put, b"t", b"x")
    assert error.phase == "publish"
    assert [entry[2] for entry in _drain(queue)] == [0, 1, 2]
    assert queue.dropped == 0


def test_the_bytes_are_bounded_by_topic_and_payload():
    queue = RamQueue(max_bytes=20)
    queue.put(b"12345", b"12345")
    queue.put(b"12345", b"1234")
    raises(QueueFull, queue.put, b"1", b"1")
    queue.put(b"1", b"")
    queue.drop()
    queue.put(b"12345", b"12345")
    assert len(queue) == 3


def test_a_message_larger_than_the_queue_is_refused_and_costs_no_other():
    for drop_oldest in (False, True):
        queue = RamQueue(max_bytes=10, drop_oldest=drop_oldest)
        queue.put(b"1", b"1", "kept")
        raises(QueueFull, queue.put, b"12345", b"123456")
        assert queue.peek()[2] == "kept" and queue.dropped == 0


def test_the_oldest_go_when_the_policy_says_so():
    queue = RamQueue(max_messages=3, max_bytes=30, drop_oldest=True)
    for i in range(3):
        assert queue.put(b"t", b"123456789", i) == []
    assert queue.put(b"t", b"x", 3) == [0]
    # Two more have to go to make room for 21 bytes.
    assert queue.put(b"t", b"x" * 20, 4) == [1, 2]
    assert queue.dropped == 3
    assert [entry[2] for entry in _drain(queue)] == [3, 4]


def test_nothing_is_evicted_while_there_is_room():
    queue = RamQueue(max_messages=2, drop_oldest=True)
    for i in range(100):
        queue.put(b"t", b"p", i)
        queue.drop()
    assert queue.dropped == 0 and len(queue) == 0


def test_the_bytes_are_counted_right_over_many_rounds():
    queue = RamQueue(max_messages=4, max_bytes=100, drop_oldest=True)
    for i in range(1000):
        queue.put(b"t" * (i % 7), b"p" * (i % 90))
    _drain(queue)
    # Empty again, it holds as much as at first, and no byte more.
    assert queue.put(b"t" * 40, b"p" * 60, 1) == []
    assert queue.put(b"", b"x", 2) == [1]
