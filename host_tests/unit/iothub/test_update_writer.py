from binascii import crc32
from hashlib import md5, sha256

from iothub.errors import UpdateError
from iothub.services.ota_update import Update
from iothub.store.journal import Journal
from iothub.update import checks, resume
from iothub.update.image import HEAD_BYTES
from iothub.update.resume import INTERVAL_BYTES, Record
from iothub.update.writer import BLOCK_BYTES, Writer

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.memory_storage import MemoryStorage
from host_tests.unit.iothub.update_place import Place, file_with_trailer

SIZES = (49, 4095, 4096, 4097, 32768, 40000, 65536, 100001)


class Bench:
    """A device's flash and journal, and a Writer over them as after each reset."""

    def __init__(self, image_bytes=100001, version="0.2"):
        self.image, self.trailer = file_with_trailer(image_bytes)
        self.file = self.image + self.trailer
        self.version = version
        self.place = Place()
        self.storage = MemoryStorage()
        self.records = []
        self.start()

    def start(self):
        """Begins as after a reset: only flash and journal are there."""
        self.journal = Journal(self.storage, "ota", 512)
        digest = md5(self.file).digest()
        self.record = resume.load(self.journal) or Record(self.version, digest, len(self.file))
        self.writer = Writer(self.record, self.place, self._save)

    def _save(self):
        self.journal.save(self.record.packed())
        self.records.append(self.record.offset)

    def feed(self, end=None, piece=1500):
        """The bytes of the file from where the writer is, in pieces as a socket gives them."""
        writer = self.writer
        if not writer.taken:
            checks.admit(writer, self.file[:HEAD_BYTES])
            writer.begin_with(self.file[:HEAD_BYTES])
        while writer.taken < (len(self.file) if end is None else end) and not writer.is_complete:
            space = writer.space()
            count = min(len(space), piece)
            space[:count] = self.file[writer.taken : writer.taken + count]
            writer.took(count)

    def on_flash(self):
        return bytes(self.place.flash.data[: len(self.image)])


def test_a_file_of_every_size_arrives():
    for image_bytes in SIZES:
        for piece in (1, 1500, 5000) if image_bytes < 5000 else (1500, 5000):
            bench = Bench(image_bytes)
            bench.feed(piece=piece)
            assert checks.finish(bench.writer).version == "0.2"
            assert bench.on_flash() == bench.image, image_bytes
            offsets = [offset for offset, _ in bench.place.flash.written]
            assert offsets == list(range(0, image_bytes, BLOCK_BYTES))  # each block once
            assert bench.writer.tail == bench.trailer


def test_it_says_when_a_block_was_written():
    bench = Bench(BLOCK_BYTES + 100)
    writer = bench.writer
    checks.admit(writer, bench.file[:HEAD_BYTES])
    writer.begin_with(bench.file[:HEAD_BYTES])
    assert writer.taken == HEAD_BYTES
    blocks = 0
    while not writer.is_complete:
        space = writer.space()
        count = min(len(space), 1000)
        space[:count] = bench.file[writer.taken : writer.taken + count]
        said = writer.took(count)
        assert said == (len(bench.place.flash.written) > blocks)
        blocks = len(bench.place.flash.written)
    assert blocks == 2
    checks.finish(writer)


def test_what_begins_anew_closes_the_target_and_records_from_the_front():
    bench = Bench()
    bench.feed(50000)
    bench.writer.begin()
    assert bench.place.flash.closed == 0
    bench.feed()
    assert bench.place.flash.closed == 1
    assert bench.records == [INTERVAL_BYTES] + [INTERVAL_BYTES * i for i in (1, 2, 3)]
    bench.writer.close()
    assert bench.place.flash.closed == 2


def test_a_trailer_of_another_kind_than_the_first_bytes_is_refused():
    class Undecided(Place):
        def admit(self, trailer, head, size):
            Place.admit(self, trailer, head, size)
            return "slot" if trailer is None else "partition"

    bench = Bench(BLOCK_BYTES)
    bench.place = Undecided()
    bench.start()
    bench.feed()
    error = raises(UpdateError, checks.finish, bench.writer)
    assert error.reason == "it begins as another kind than it says"


def test_with_the_tail_first_the_rest_ends_before_it():
    bench = Bench()
    checks.take_tail(bench.writer, bench.trailer)
    bench.feed()
    assert bench.writer.is_complete and bench.writer.taken == len(bench.image)
    assert checks.finish(bench.writer).version == "0.2"
    assert bench.place.admitted == [("0.2", b"IHB", len(bench.file))]


def test_without_it_the_trailer_is_judged_at_the_end():
    bench = Bench()
    bench.feed()
    checks.finish(bench.writer)
    size = len(bench.file)
    assert bench.place.admitted == [(None, b"IHB", size), ("0.2", b"IHB", size)]


def test_nothing_is_written_of_what_the_place_does_not_admit():
    bench = Bench()
    bench.file = b"\xe9" + bench.file[1:]
    raises(UpdateError, bench.feed)
    assert bench.place.flash.written == []


def test_a_tail_that_is_no_trailer_is_refused():
    bench = Bench()
    raises(UpdateError, checks.take_tail, bench.writer, bytes(512))
    raises(UpdateError, checks.take_tail, bench.writer, bench.trailer[:-1])
    assert not bench.writer.tail


def test_a_file_that_cannot_be_one_is_refused():
    for size in (1, 512, 560):
        raises(UpdateError, Writer, Record("1", bytes(16), size), Place(), None)


def test_a_wrong_md5_is_minus_4():
    for at in (0x30, 50000, 99999):
        bench = Bench()
        bench.file = bench.file[:at] + bytes((bench.file[at] ^ 1,)) + bench.file[at + 1 :]
        bench.feed()
        assert raises(UpdateError, checks.finish, bench.writer).code == -4, at


def test_a_wrong_sha256_is_minus_5():
    bench = Bench()
    other, _ = file_with_trailer(len(bench.image), 2)
    bench.file = other + bench.trailer
    bench.record.md5 = md5(bench.file).digest()
    bench.feed()
    assert raises(UpdateError, checks.finish, bench.writer).code == -5


def test_a_record_is_written_every_interval_and_at_the_end():
    for image_bytes in SIZES:
        bench = Bench(image_bytes)
        bench.feed()
        checks.finish(bench.writer)
        whole = list(range(INTERVAL_BYTES, image_bytes + 1, INTERVAL_BYTES))
        assert bench.records == whole + [image_bytes]
        # What a record speaks of is safe before.
        assert bench.place.flash.syncs == len(bench.records)
        assert bench.record.crc == crc32(bench.image)


def test_after_a_reset_it_goes_on_where_the_record_says():
    bench = Bench()
    losses = []
    for end in (1, 4096, 33000, 40000, 65536, 98303, 98304, 100001, 100100):
        bench.feed(end)
        reached = min(bench.writer.taken, len(bench.image))
        bench.start()
        for _ in checks.read_again(bench.writer):
            pass
        losses.append(reached - bench.writer.taken)
        assert bench.writer.taken == bench.record.offset
    assert max(losses) <= INTERVAL_BYTES and sum(losses) > 0
    bench.feed()
    checks.finish(bench.writer)
    assert bench.on_flash() == bench.image


def test_bytes_read_are_bounded_by_the_cuts():
    state = 7
    for _ in range(60):
        bench = Bench()
        total = cuts = 0
        while not bench.writer.is_complete:
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            before = bench.writer.taken
            end = min(before + (state >> 8) % 60000, len(bench.file))
            bench.feed(end)
            total += bench.writer.taken - before
            if not bench.writer.is_complete:
                cuts += 1
                bench.start()
                for _ in checks.read_again(bench.writer):
                    pass
        assert len(bench.file) <= total <= len(bench.file) + cuts * INTERVAL_BYTES
        checks.finish(bench.writer)
        assert bench.on_flash() == bench.image


def test_a_reset_after_the_end_costs_the_trailer_at_most():
    bench = Bench()
    bench.feed()
    checks.finish(bench.writer)
    bench.start()
    for _ in checks.read_again(bench.writer):
        pass
    assert bench.writer.taken == len(bench.image)
    bench.feed()
    checks.finish(bench.writer)


def test_flash_that_is_not_what_was_recorded_is_not_trusted():
    def flip(bench):
        bench.place.flash.data[20000] ^= 1

    def unreadable(bench):
        bench.place.flash.broken_at = 20000

    def other_crc(bench):
        bench.record.crc ^= 1

    def offset_within_a_block(bench):
        bench.record.offset = 33000
        bench.record.crc = crc32(bench.image[:33000])

    for damage in (flip, unreadable, other_crc, offset_within_a_block):
        bench = Bench()
        bench.feed(70000)
        bench.start()
        damage(bench)
        for _ in checks.read_again(bench.writer):
            pass
        assert bench.writer.taken == 0, damage.__name__
        bench.place.flash.broken_at = None
        bench.feed()
        checks.finish(bench.writer)
        assert bench.on_flash() == bench.image


def test_beginning_anew_forgets_everything():
    bench = Bench()
    checks.take_tail(bench.writer, bench.trailer)
    bench.feed(50000)
    bench.writer.begin()
    assert (bench.writer.taken, bench.writer.tail) == (0, b"")
    bench.feed()
    checks.finish(bench.writer)
    assert bench.on_flash() == bench.image


def test_a_record_comes_back_as_it_was():
    journal = Journal(MemoryStorage(), "ota", 512)
    assert resume.load(journal) is None
    digest = sha256(b"").digest()[:16]
    for etag, target in (("", ""), ('"' + "e" * 126 + '"', "ota_1"), ("中", "slot")):
        made = Record("v" * 64, digest, 0x3FFFFFFF, etag, target, 98304, 0xFFFFFFFF, 2)
        journal.save(made.packed())
        found = resume.load(journal)
        for name in ("version", "md5", "size", "etag", "target", "offset", "crc", "stage"):
            assert getattr(found, name) == getattr(made, name), name
    journal.save(Record("1\n2\n3", digest, 1, "e", "slot").packed())  # as the cloud likes
    found = resume.load(journal)
    assert (found.version, found.etag, found.target) == ("1\n2\n3", "e", "slot")
    journal.save(b"")
    assert resume.load(journal) is None
    journal.save(b"\x63" + made.packed()[1:])  # of another format
    assert resume.load(journal) is None


def test_a_file_issued_anew_under_the_same_version_is_another():
    record = Record("0.2", b"a" * 16, 1000)
    assert record.is_of(Update(None, "0.2", "any", b"a" * 16, 1000))
    for other in (
        Update(None, "0.2", "any", b"b" * 16, 1000),
        Update(None, "0.2", "any", b"a" * 16, 1001),
        Update(None, "0.3", "any", b"a" * 16, 1000),
    ):
        assert not record.is_of(other)
