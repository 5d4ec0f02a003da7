import struct
from binascii import crc32

from iothub.errors import QueueFull, StorageError
from iothub.store.flash_queue import FlashQueue

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.memory_storage import MemoryStorage

FIRST_ID = 32768


def _filled(storage, count, **options):
    queue = FlashQueue(storage, **options)
    for i in range(count):
        queue.put(b"t", b"%d" % i, i)
    return queue


def _take_all(queue):
    return [queue.take() for _ in range(len(queue))]


def _numbers(entries):
    return [int(bytes(entry.payload)) for entry in entries]


def _segments(storage):
    return sorted(name for name in storage.files if ".mark." not in name)


def _record(number, packet_id, topic, payload, retain=0):
    """A record as the format's description says, built apart from the code under test."""
    body = struct.pack(">BHHH", 0x10 | retain, packet_id, len(topic), len(payload))
    body += topic + payload
    return struct.pack(">I", crc32(body, number)) + body


def test_the_format_is_the_documented_one():
    storage = MemoryStorage()
    queue = FlashQueue(storage, "q")
    queue.put(b"topic", b"payload", None, True)
    queue.put(b"t", b"")
    assert storage.files == {
        "q.00000001": _record(1, FIRST_ID, b"topic", b"payload", 1)
        + _record(1, FIRST_ID + 1, b"t", b"")
    }


def test_packet_ids_are_assigned_in_order_and_wrap():
    storage = MemoryStorage()
    queue = _filled(storage, 3)
    assert [entry.packet_id for entry in _take_all(queue)] == [32768, 32769, 32770]
    storage.files["queue.00000001"] = _record(1, 65533, b"t", b"old")
    queue = _filled(storage, 4)
    entries = _take_all(queue)
    assert [entry.packet_id for entry in entries] == [65533, 65534, 65535, 32768, 32769]
    assert [entry.token for entry in entries] == [None, 0, 1, 2, 3]


def test_after_a_restart_all_comes_again_with_dup_and_the_same_id():
    storage = MemoryStorage()
    queue = _filled(storage, 10, segment_bytes=64)
    ids = [entry.packet_id for entry in (queue.take(), queue.take())]
    assert ids == [FIRST_ID, FIRST_ID + 1]
    again = FlashQueue(storage, segment_bytes=64)
    assert len(again) == again.unsettled == 10
    again.put(b"t", b"10", "token")
    entries = _take_all(again)
    assert _numbers(entries) == list(range(11))
    assert [entry.packet_id for entry in entries] == [FIRST_ID + i for i in range(11)]
    assert [entry.dup for entry in entries] == [True] * 10 + [False]
    assert [entry.token for entry in entries] == [None] * 10 + ["token"]
    assert again.corrupt == 0


def test_retain_survives_a_restart():
    storage = MemoryStorage()
    queue = FlashQueue(storage)
    for retain in (1, 0, True):
        queue.put(b"t", b"p", None, retain)
    assert [entry.retain for entry in _take_all(FlashQueue(storage))] == [1, 0, 1]


def test_when_all_is_settled_nothing_comes_again_and_no_segment_is_left():
    storage = MemoryStorage()
    queue = _filled(storage, 50, segment_bytes=100)
    assert len(_segments(storage)) > 5
    for entry in _take_all(queue):
        queue.settle(entry)
    assert _segments(storage) == []
    assert len(FlashQueue(storage)) == 0
    # Also with one segment, which was not full.
    queue.put(b"t", b"p")
    queue.settle(queue.take())
    assert _segments(storage) == [] and len(FlashQueue(storage)) == 0


def test_few_settled_messages_come_again():
    storage = MemoryStorage()
    queue = _filled(storage, 100)
    for i in range(100):
        assert len(_segments(storage)) == 1
        again = FlashQueue(storage)
        assert _numbers(_take_all(again)) == list(range(i - i % 16, 100))
        queue.settle(queue.take())
    assert len(FlashQueue(storage)) == 0


def test_nothing_before_the_oldest_unsettled_message_is_forgotten():
    storage = MemoryStorage()
    queue = _filled(storage, 100, segment_bytes=200)
    taken = [queue.take() for _ in range(80)]
    for entry in taken[1:]:
        queue.settle(entry)
    numbers = _numbers(_take_all(FlashQueue(storage)))
    assert numbers[0] == 0 and numbers[-20:] == list(range(80, 100))
    assert numbers == sorted(numbers)
    # Segments that are settled in the middle are gone.
    assert len(numbers) < 60 and len(_segments(storage)) < 6


def test_a_place_that_is_marked_is_not_marked_again():
    storage = MemoryStorage()
    queue = _filled(storage, 60)
    for entry in _take_all(queue)[1:]:
        queue.settle(entry)
    assert queue.writes == storage.changes == 60 + 1


def test_few_settled_messages_come_again_also_over_many_restarts():
    storage = MemoryStorage()
    settled = total = 0
    for _ in range(40):
        queue = FlashQueue(storage, segment_bytes=300)
        for _ in range(25):
            queue.put(b"t", b"%d" % total)
            total += 1
        numbers = _numbers(_take_all(FlashQueue(storage)))
        assert numbers == list(range(numbers[0], total))
        assert settled - 16 < numbers[0] <= settled
        while settled < total - 7:
            entry = queue.take()
            if int(bytes(entry.payload)) == settled:
                settled += 1
            queue.settle(entry)


def test_segment_numbers_are_not_used_again():
    storage = MemoryStorage()
    storage.written = []
    for _ in range(20):  # so that a mark is written
        queue = _filled(storage, 20)
        for entry in _take_all(queue)[:17]:
            queue.settle(entry)
        for name in _segments(storage):
            storage.remove(name)
    numbers = [int(name[-8:], 16) for name in storage.written if ".mark." not in name]
    assert numbers == sorted(numbers) and len(set(numbers)) == 20


def test_a_mark_of_an_earlier_segment_does_not_skip_messages():
    storage = MemoryStorage()
    queue = _filled(storage, 20)
    for entry in _take_all(queue):
        queue.settle(entry)
    assert _segments(storage) == [] and "queue.mark.a" in storage.files
    _filled(storage, 20)
    assert _numbers(_take_all(FlashQueue(storage))) == list(range(20))


def test_a_torn_tail_is_dropped_and_what_follows_is_found():
    whole = len(_record(1, FIRST_ID, b"t", b"0"))
    for cut in range(1, whole):
        storage = MemoryStorage()
        queue = _filled(storage, 3)
        storage.failure = (5, cut)
        error = raises(StorageError, queue.put, b"t", b"3")
        assert (error.errno, error.phase) == (5, "storage")
        storage.failure = None
        # Both in the same run and after a restart.
        queue.put(b"t", b"4")
        again = FlashQueue(storage)
        assert again.corrupt == 1
        again.put(b"t", b"5")
        assert _numbers(_take_all(again)) == [0, 1, 2, 4, 5]
        assert _numbers(_take_all(FlashQueue(storage))) == [0, 1, 2, 4, 5]
        assert _numbers(_take_all(queue)) == [0, 1, 2, 4]


def test_after_a_torn_tail_a_restart_starts_another_segment():
    storage = MemoryStorage()
    _filled(storage, 3)
    storage.files["queue.00000001"] += b"torn"
    _filled(storage, 1)
    assert _numbers(_take_all(FlashQueue(storage))) == [0, 1, 2, 0]


def test_a_full_flash_refuses_with_its_reason_and_keeps_the_rest():
    for drop_oldest in (False, True):
        for segment_bytes in (4096, 1):
            storage = MemoryStorage()
            queue = _filled(
                storage,
                3,
                max_messages=3 + (not drop_oldest),
                drop_oldest=drop_oldest,
                segment_bytes=segment_bytes,
            )
            storage.failure = (28, 0)
            for _ in range(5):
                error = raises(QueueFull, queue.put, b"t", b"x")
                assert error.errno == 28 and "flash" in error.reason and error.hint
            assert queue.dropped == 0 and len(queue) == queue.unsettled == 3
            storage.failure = None
            assert queue.put(b"t", b"3", 3) == ([0] if drop_oldest else [])
            first = 1 if drop_oldest else 0
            assert [entry.token for entry in _take_all(queue)] == list(range(first, 4))
            assert max(_numbers(_take_all(FlashQueue(storage)))) == 3


def test_failed_puts_leave_no_files():
    storage = MemoryStorage(can_remove_always=True)
    queue = FlashQueue(storage)
    storage.failure = (28, 5)
    for _ in range(10):
        raises(QueueFull, queue.put, b"t", b"x")
    assert storage.files == {}


def test_settling_works_while_the_flash_refuses_everything():
    storage = MemoryStorage()
    queue = _filled(storage, 60, segment_bytes=300)
    storage.failure = (5, 0)
    for entry in _take_all(queue):
        queue.settle(entry)
    assert queue.unsettled == 0
    storage.failure = None
    # They come again: that the flash forgot them was never promised.
    assert _numbers(_take_all(FlashQueue(storage)))[-1] == 59
    queue.put(b"t", b"60")
    assert _numbers(_take_all(FlashQueue(storage)))[-1] == 60


def test_a_changed_byte_costs_what_follows_in_its_segment_only():
    storage = MemoryStorage()
    record_bytes = len(_record(1, FIRST_ID, b"t", b"10"))
    queue = FlashQueue(storage, segment_bytes=4 * record_bytes)
    for i in range(10, 30):
        queue.put(b"t", b"%d" % i)
    name = _segments(storage)[2]
    good = storage.files[name]
    for at in range(len(good)):
        content = bytearray(good)
        content[at] ^= 0x10
        storage.files[name] = bytes(content)
        queue = FlashQueue(storage)
        kept = 18 + at // record_bytes
        assert _numbers(_take_all(queue)) == list(range(10, kept)) + list(range(22, 30)), at
        assert queue.corrupt == 1, at


def test_foreign_files_are_skipped():
    storage = MemoryStorage()
    _filled(storage, 3)
    foreign = {
        "queue.": b"x",
        "queue.txt": b"x",
        "queue.1": b"x",
        "queue.0000000G": b"x",
        "queue.mark.c": b"x",
        "queue2.00000001": b"x",
        "other": b"x",
        "": b"x",
    }
    storage.files.update(foreign)
    queue = FlashQueue(storage)
    assert _numbers(_take_all(queue)) == [0, 1, 2] and queue.corrupt == 0
    for name, content in foreign.items():
        assert storage.files[name] == content


def test_what_only_looks_like_a_segment_is_counted_and_goes():
    good = _record(1, FIRST_ID, b"t", b"9")
    for content in (
        b"x",
        bytes(4096),
        b"\xff" * 4096,
        _record(2, FIRST_ID, b"t", b"9"),  # of another segment
        good[:4] + b"\x20" + good[5:],  # of a later format
        good[:7] + b"\xff\xff\xff\xff" + good[11:],  # lengths past all bounds
    ):
        storage = MemoryStorage()
        storage.files["queue.00000001"] = content
        queue = FlashQueue(storage)
        assert (queue.corrupt, len(queue)) == (1, 0)
        assert storage.files == {}
        queue.put(b"t", b"1")
        assert _numbers(_take_all(FlashQueue(storage))) == [1]


def test_a_damaged_mark_only_means_that_more_comes_again():
    for damage in (b"", b"garbage", None):
        storage = MemoryStorage()
        queue = _filled(storage, 40)
        for entry in _take_all(queue)[:35]:
            queue.settle(entry)
        for name in ("queue.mark.a", "queue.mark.b"):
            if damage is None:
                del storage.files[name]
            else:
                storage.files[name] = damage
        assert _numbers(_take_all(FlashQueue(storage))) == list(range(40))


def test_messages_that_vanish_while_it_runs_are_counted_and_stop_nothing():
    for harm in ("remove", "change"):
        storage = MemoryStorage()
        queue = _filled(storage, 30, segment_bytes=60)
        taken = [queue.take(), queue.take()]
        for name in (_segments(storage)[0], _segments(storage)[2], _segments(storage)[-2]):
            if harm == "remove":
                del storage.files[name]
            else:
                storage.files[name] = b"x" * len(storage.files[name])
        queue.put(b"t", b"30", 30)
        numbers = []
        while queue.peek() is not None:
            entry = queue.take()
            numbers.append(int(bytes(entry.payload)))
            queue.settle(entry)
        for entry in taken:
            queue.settle(entry)
        assert queue.corrupt == 3
        assert numbers[-1] == 30 and numbers == sorted(numbers) and 10 < len(numbers) < 25
        assert len(queue) == queue.unsettled == 0
        assert queue._segments == _segments(storage) == []
        # The accounts hold: it takes as much as at first, and no more.
        queue.put(b"t", bytes(65536 - 11 - 2))
        raises(QueueFull, queue.put, b"t", b"")


def test_what_was_put_keeps_its_token_when_messages_of_an_earlier_run_vanish():
    for lost in ([0], [1], [2], [0, 1, 2]):
        storage = MemoryStorage()
        _filled(storage, 6, segment_bytes=30)  # two a segment
        queue = FlashQueue(storage, segment_bytes=30)
        for name in [_segments(storage)[i] for i in lost]:
            del storage.files[name]
        for i in range(6, 9):
            queue.put(b"t", b"%d" % i, i)
        entries = []
        while queue.peek() is not None:
            entries.append(queue.take())
        expected = [(True, None)] * (6 - 2 * len(lost)) + [(False, 6), (False, 7), (False, 8)]
        assert [(entry.dup, entry.token) for entry in entries] == expected, lost


def test_two_messages_with_one_id_are_never_out_together():
    storage = MemoryStorage()
    storage.files["queue.00000001"] = _record(1, FIRST_ID, b"t", b"0")
    storage.files["queue.00000002"] = _record(2, 65535, b"t", b"1")
    queue = FlashQueue(storage)
    queue.put(b"t", b"2", "token")
    first = queue.take()
    assert (first.packet_id, first.token) == (FIRST_ID, None)
    second = queue.take()
    assert (second.packet_id, second.token) == (65535, None)
    assert queue.peek() is None and queue.take() is None and len(queue) == 1
    queue.settle(second)
    assert queue.peek() is None
    queue.settle(first)
    third = queue.take()
    assert (third.packet_id, third.token, third.dup) == (FIRST_ID, "token", False)


def test_the_bounds_hold_while_an_entry_waits_for_its_packet_id():
    storage = MemoryStorage()
    storage.files["queue.00000001"] = _record(1, FIRST_ID, b"t", b"0")
    storage.files["queue.00000002"] = _record(2, 65535, b"t", b"1")
    queue = FlashQueue(storage, max_messages=3, drop_oldest=True)
    first = queue.take()
    tokens = []
    for i in range(2, 12):
        tokens += queue.put(b"t", b"%d" % i, i)
        assert queue.unsettled <= 3
    assert tokens == [None, 2, 3, 4, 5, 6, 7, 8, 9]
    queue.settle(first)
    assert _numbers(_take_all(queue)) == [10, 11]


def test_the_bytes_of_an_earlier_run_count_as_far_as_they_are_unsettled():
    storage = MemoryStorage()
    queue = _filled(storage, 20)
    for entry in [queue.take() for _ in range(16)]:
        queue.settle(entry)
    # A mark behind these; the other four have 14 bytes each.
    again = FlashQueue(storage, max_bytes=70)
    assert len(again) == 4
    again.put(b"t", b"20")
    raises(QueueFull, again.put, b"t", b"")
    for entry in _take_all(again):
        again.settle(entry)
    again.put(b"t", b"x" * 58)
    raises(QueueFull, again.put, b"t", b"")


def test_more_than_the_bounds_is_kept_when_it_comes_from_an_earlier_run():
    storage = MemoryStorage()
    _filled(storage, 10)
    refusing = FlashQueue(storage, max_messages=4)
    raises(QueueFull, refusing.put, b"t", b"x")
    assert len(refusing) == 10
    dropping = FlashQueue(storage, max_messages=4, drop_oldest=True)
    assert dropping.put(b"t", b"10") == [None] * 7
    assert _numbers(_take_all(dropping)) == [7, 8, 9, 10]


def test_large_messages_have_segments_of_their_own():
    storage = MemoryStorage()
    payloads = [bytes((i,)) * size for i, size in enumerate((10, 500, 3, 65535 - 11 - 1, 20))]
    queue = FlashQueue(storage, segment_bytes=100, max_bytes=200000)
    for payload in payloads:
        queue.put(b"t", payload)
    raises(QueueFull, queue.put, b"t", bytes(65535 - 11))
    for kept in (queue, FlashQueue(storage)):
        assert [entry.payload for entry in _take_all(kept)] == payloads


def test_an_outage_of_a_thousand_messages_costs_few_writes():
    storage = MemoryStorage()
    queue = FlashQueue(storage, max_messages=1000, max_bytes=200000)
    for i in range(1000):
        queue.put(b"PRODUCT123/device/data", b"x" * 100, i)
    while len(queue):  # with a window of 20
        taken = [queue.take() for _ in range(min(20, len(queue)))]
        for entry in taken:
            queue.settle(entry)
    assert queue.unsettled == 0 and queue._segments == _segments(storage) == []
    assert queue.writes == storage.changes
    assert queue.writes / 1000 <= 1.2, queue.writes
    print("%.3f writes a message of 100 bytes" % (queue.writes / 1000))
