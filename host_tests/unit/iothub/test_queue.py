"""What both queues promise; what the one on flash adds is in test_flash_queue.py."""

from iothub.errors import QueueFull
from iothub.store.flash_queue import FlashQueue
from iothub.store.queue import RamQueue

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.memory_storage import MemoryStorage


def _queues(**options):
    """A queue of each kind, and what a message of it counts besides topic and payload."""
    return (
        (RamQueue(**options), 0),
        (FlashQueue(MemoryStorage(), **options), 11),
        (FlashQueue(MemoryStorage(), segment_bytes=64, **options), 11),
    )


def _contents(entry):
    return bytes(entry.topic), bytes(entry.payload), entry.token, entry.retain


def _drain(queue):
    found = []
    while len(queue):
        entry = queue.take()
        found.append(_contents(entry))
        queue.settle(entry)
    return found


def test_messages_come_out_as_they_went_in():
    for queue, _ in _queues():
        for i in range(20):
            assert queue.put(b"t%d" % i, b"p" * i, i, i & 1) == []
        assert len(queue) == queue.unsettled == 20
        assert _drain(queue) == [(b"t%d" % i, b"p" * i, i, i & 1) for i in range(20)]
        assert len(queue) == queue.unsettled == queue.dropped == 0


def test_an_empty_queue_gives_nothing():
    for queue, _ in _queues():
        assert queue.peek() is None and queue.take() is None
        queue.put(b"t", b"p")
        queue.settle(queue.take())
        assert queue.peek() is None and queue.take() is None
        assert len(queue) == queue.unsettled == 0


def test_looking_does_not_take():
    for queue, _ in _queues():
        queue.put(b"t", b"p")
        queue.put(b"t", b"next")
        entry = queue.peek()
        assert queue.peek() is entry and _contents(entry) == (b"t", b"p", None, 0)
        assert len(queue) == 2
        assert queue.take() is entry
        assert len(queue) == 1 and queue.unsettled == 2
        assert queue.peek().payload == b"next"


def test_it_keeps_copies():
    for queue, _ in _queues():
        topic = bytearray(b"t")
        payload = bytearray(b"payload")
        queue.put(topic, memoryview(payload)[:3])
        topic[0] = payload[0] = 0
        assert _contents(queue.peek())[:2] == (b"t", b"pay")


def test_taken_entries_are_settled_in_any_order():
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)):
        for queue, _ in _queues(max_messages=6):
            for i in range(6):
                queue.put(b"t", b"%d" % i, i)
            taken = [queue.take() for _ in range(4)]
            for left, i in enumerate(order):
                queue.settle(taken[i])
                assert (len(queue), queue.unsettled) == (2, 5 - left)
            assert [token for _, _, token, _ in _drain(queue)] == [4, 5]


def test_who_takes_an_entry_may_drop_its_message():
    for queue, _ in _queues(max_bytes=40):
        queue.put(b"t", b"x" * 20)
        entry = queue.take()
        entry.topic = entry.payload = None
        queue.settle(entry)
        queue.put(b"t", b"x" * 20)


def test_the_count_is_bounded_by_what_is_not_settled():
    for queue, _ in _queues(max_messages=3):
        for i in range(3):
            queue.put(b"t", bytes((i,)), i)
        error = raises(QueueFull, queue.put, b"t", b"x")
        assert error.phase == "publish"
        entry = queue.take()
        raises(QueueFull, queue.put, b"t", b"x")
        queue.settle(entry)
        queue.put(b"t", b"x", 3)
        assert [token for _, _, token, _ in _drain(queue)] == [1, 2, 3]
        assert queue.dropped == 0


def test_the_bytes_are_bounded():
    for queue, extra in _queues(max_bytes=100):
        queue.put(b"12345", b"x" * (45 - extra))
        queue.put(b"12345", b"x" * (44 - extra))
        raises(QueueFull, queue.put, b"1" * (2 - min(1, extra)), b"")
        queue.settle(queue.take())
        queue.put(b"12345", b"x" * (46 - extra))
        raises(QueueFull, queue.put, b"1", b"")
        assert len(queue) == 2


def test_a_message_larger_than_the_queue_is_refused_and_costs_no_other():
    for drop_oldest in (False, True):
        for queue, _ in _queues(max_bytes=50, drop_oldest=drop_oldest):
            queue.put(b"1", b"1", "kept")
            raises(QueueFull, queue.put, b"12345", b"x" * 46)
            assert queue.peek().token == "kept" and queue.dropped == 0


def test_the_oldest_go_when_the_policy_says_so():
    for queue, _ in _queues(max_messages=3, drop_oldest=True):
        for i in range(3):
            assert queue.put(b"t", b"123456789", i) == []
        assert queue.put(b"t", b"x", 3) == [0]
        assert queue.dropped == 1
        assert [token for _, _, token, _ in _drain(queue)] == [1, 2, 3]
    for queue, extra in _queues(max_bytes=99, drop_oldest=True):
        for i in range(3):
            assert queue.put(b"t", b"x" * (32 - extra), i) == []
        # Two have to go to make room for this.
        assert queue.put(b"t", b"x" * (50 - extra), 3) == [0, 1]
        assert queue.dropped == 2
        assert [token for _, _, token, _ in _drain(queue)] == [2, 3]


def test_what_is_taken_does_not_make_room():
    for queue, _ in _queues(max_messages=3, drop_oldest=True):
        for i in range(3):
            queue.put(b"t", b"p", i)
        taken = [queue.take(), queue.take()]
        assert queue.put(b"t", b"p", 3) == [2]
        taken.append(queue.take())
        raises(QueueFull, queue.put, b"t", b"p", 4)
        assert queue.dropped == 1 and [entry.token for entry in taken] == [0, 1, 3]
        for entry in taken:
            queue.settle(entry)
        assert queue.put(b"t", b"p", 5) == []


def test_the_bytes_of_what_is_taken_do_not_make_room():
    for queue, extra in _queues(max_bytes=100, drop_oldest=True):
        for i in range(2):
            queue.put(b"t", b"x" * (49 - extra), i)
        taken = queue.take()
        raises(QueueFull, queue.put, b"t", b"x" * (50 - extra), 2)
        assert len(queue) == 1 and queue.dropped == 0
        assert queue.put(b"t", b"x" * (49 - extra), 3) == [1]
        queue.settle(taken)
        assert queue.put(b"t", b"x" * (49 - extra), 4) == []


def test_the_entry_looked_at_may_be_the_one_that_goes():
    for queue, _ in _queues(max_messages=2, drop_oldest=True):
        queue.put(b"t", b"first", 1)
        queue.put(b"t", b"second", 2)
        assert queue.peek().token == 1
        assert queue.put(b"t", b"third", 3) == [1]
        assert _contents(queue.peek()) == (b"t", b"second", 2, 0)


def test_nothing_is_evicted_while_there_is_room():
    for queue, _ in _queues(max_messages=2, drop_oldest=True):
        for i in range(100):
            assert queue.put(b"t", b"p", i) == []
            queue.settle(queue.take())
        assert queue.dropped == 0 and len(queue) == 0


def test_the_accounts_are_right_after_many_rounds():
    for queue, extra in _queues(max_messages=4, max_bytes=200, drop_oldest=True):
        for i in range(1000):
            queue.put(b"t" * (i % 7), b"p" * (i % 90), i)
            if i % 3 == 0:
                queue.settle(queue.take())
        _drain(queue)
        # Empty again, it holds as much as at first, and no byte more.
        assert queue.put(b"t" * 40, b"p" * (160 - extra), 1) == []
        assert queue.put(b"", b"x", 2) == [1]


def test_the_packet_id_is_the_senders_to_choose_in_ram():
    queue = RamQueue()
    queue.put(b"t", b"p")
    assert (queue.peek().packet_id, queue.peek().dup, queue.writes) == (0, False, 0)
