import struct
from binascii import crc32

from iothub.errors import BadInput, StorageError
from iothub.store.journal import Journal

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.memory_storage import MemoryStorage


def _loaded(storage, **options):
    return Journal(storage, "j", **options).load()


def _record(payload, sequence, magic=b"IJ\x01"):
    """A record as the format's description says, built apart from the code under test."""
    head = magic + bytes((sequence >> 8, sequence & 255, len(payload) >> 8, len(payload) & 255))
    return head + struct.pack(">I", crc32(head + payload)) + payload


def test_nothing_was_saved_yet():
    assert _loaded(MemoryStorage()) is None


def test_what_was_saved_last_comes_back():
    storage = MemoryStorage()
    journal = Journal(storage, "j")
    for payload in (b"one", b"", bytes(range(256)) * 8, bytearray(b"four"), memoryview(b"five")):
        journal.save(payload)
        assert journal.load() == payload
        assert _loaded(storage) == payload
    assert sorted(storage.files) == ["j.a", "j.b"]


def test_the_format_is_the_documented_one():
    storage = MemoryStorage()
    Journal(storage, "j").save(b"payload")
    assert storage.files == {"j.a": _record(b"payload", 1)}


def test_files_take_turns_also_across_restarts():
    storage = MemoryStorage()
    storage.written = []
    for i in range(5):
        Journal(storage, "j").save(b"%d" % i)
    assert storage.written == ["j.a", "j.b", "j.a", "j.b", "j.a"]


def test_a_save_without_a_load_before_it_keeps_the_newest():
    storage = MemoryStorage()
    Journal(storage, "j").save(b"old")
    storage.failure = (5, 3)
    raises(StorageError, Journal(storage, "j").save, b"new")
    assert _loaded(storage) == b"old"


def test_two_journals_in_one_storage_do_not_meet():
    storage = MemoryStorage()
    Journal(storage, "one").save(b"1")
    Journal(storage, "two").save(b"2")
    assert Journal(storage, "one").load() == b"1"
    assert Journal(storage, "two").load() == b"2"


def test_the_sequence_number_wraps():
    for first, second in ((0xFFFE, 0xFFFF), (0xFFFF, 0), (0, 1), (0x7FFF, 0x8000)):
        storage = MemoryStorage()
        storage.files = {"j.a": _record(b"old", first), "j.b": _record(b"new", second)}
        assert _loaded(storage) == b"new", second
        storage.files = {"j.b": _record(b"old", first), "j.a": _record(b"new", second)}
        assert _loaded(storage) == b"new", second
        Journal(storage, "j").save(b"newest")
        assert storage.files["j.b"] == _record(b"newest", (second + 1) & 0xFFFF)


def test_every_write_cut_at_every_byte_leaves_the_old_value_or_the_new():
    for cut in range(len(_record(b"third", 3)) + 1):
        storage = MemoryStorage()
        journal = Journal(storage, "j")
        journal.save(b"first")
        journal.save(b"second")
        storage.failure = (5, cut)
        error = raises(StorageError, journal.save, b"third")
        assert (error.errno, error.phase) == (5, "storage")
        whole = cut == len(_record(b"third", 3))
        assert _loaded(storage) == (b"third" if whole else b"second"), cut
        storage.failure = None
        # Again, with the same journal and with one that starts over.
        journal.save(b"fourth")
        assert _loaded(storage) == b"fourth"
        Journal(storage, "j").save(b"fifth")
        assert _loaded(storage) == b"fifth"


def test_any_changed_bit_makes_a_record_absent():
    good = _record(b"payload", 7)
    for at in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            storage = MemoryStorage()
            storage.files = {"j.a": bytes(bad), "j.b": _record(b"older", 6)}
            assert _loaded(storage) == b"older", (at, bit)
            del storage.files["j.b"]
            assert _loaded(storage) is None, (at, bit)


def test_content_that_is_not_a_record_is_absent():
    good = _record(b"payload", 7)
    contents = [good[:i] for i in range(len(good))]
    contents += [good + b"\0", b"\0" * 64, b"\xff" * 4096, _record(b"x", 1, b"IJ\x02")]
    for content in contents:
        storage = MemoryStorage()
        storage.files = {"j.a": content}
        assert _loaded(storage) is None, content
        Journal(storage, "j").save(b"new")
        assert _loaded(storage) == b"new"


def test_the_size_is_bounded_both_ways():
    storage = MemoryStorage()
    small = Journal(storage, "j", max_bytes=4)
    small.save(b"four")
    error = raises(BadInput, small.save, b"fives")
    assert "4 bytes" in error.reason
    assert _loaded(storage) == b"four"
    Journal(storage, "j").save(b"more than four")
    assert small.load() == b"four"
    raises(BadInput, Journal(storage, "j").save, bytes(2049))
