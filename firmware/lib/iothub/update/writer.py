"""Puts the file of an update into its target (partition.py, download_file.py) block by block, and
knows its digests. The trailer at the file's end is kept apart. Pure over target and place; what a
place is says net/ota.py. What is checked of the file, before and after, is in checks.py."""

from binascii import crc32
from hashlib import md5, sha256

from iothub.compat import const
from iothub.errors import UpdateError
from iothub.update.image import HEAD_BYTES, TRAILER_BYTES
from iothub.update.resume import INTERVAL_BYTES

BLOCK_BYTES = const(4096)


class Writer:
    """Of one file: `record` (resume.Record) says which, and what of it is in the target;
    `save()` keeps the record. It begins with checks.read_again(), or checks.admit()
    and begin_with(). `taken`: so many bytes from the beginning of the file are in the
    target, or in the one block that is in RAM. `tail`: the trailer as it came, b"" before."""

    def __init__(self, record, place, save):
        self.record = record
        self.image_bytes = record.size - TRAILER_BYTES
        if self.image_bytes <= HEAD_BYTES:
            raise UpdateError("the file is shorter than a trailer and an image")
        self.place = place
        self._save = save
        self.target = None
        self.begin()

    def begin(self):
        """From the beginning of the file, whatever is in the target."""
        self.taken = 0
        self.tail = b""
        self.tail_first = False
        self._tail_space = None
        self.block = None  # not before begin_with(): what judges the first bytes needs the heap
        self.crc = 0
        self.md5 = md5()
        self.sha256 = sha256()

    def begin_with(self, head):
        """Takes the first bytes of the file, which were admitted."""
        self.make_block()
        self.block[: len(head)] = head
        self.taken = len(head)

    def make_block(self):
        self.block = memoryview(bytearray(BLOCK_BYTES))

    @property
    def is_complete(self):
        return self.taken >= self.image_bytes and self.tail != b""

    def space(self):
        """Where the next bytes of the file go (memoryview)."""
        left = self.image_bytes - self.taken
        if left <= 0:
            if self._tail_space is None:
                self._tail_space = memoryview(bytearray(TRAILER_BYTES))
            return self._tail_space[-left:]
        at = self.taken % BLOCK_BYTES
        if not at and left >= BLOCK_BYTES:
            return self.block
        return self.block[at : at + left]

    def took(self, count):
        """So many bytes are in space(). Whether they made a block full, which is written then.
        Raises UpdateError, StorageError."""
        self.taken = taken = self.taken + count
        used = taken % BLOCK_BYTES
        if not used and taken <= self.image_bytes:
            self._write(taken - BLOCK_BYTES, self.block)
            return True
        if taken == self.image_bytes:
            self._write(taken - used, self.block[:used])
            return True
        if taken == self.record.size:
            self.tail = bytes(self._tail_space)
        return False

    def close(self):
        if self.target is not None:
            self.target.close()

    def _write(self, offset, view):
        self.target.write(offset, view)
        self.digest(view)
        if self.taken - self.record.offset >= INTERVAL_BYTES:
            self.note()

    def digest(self, view):
        self.crc = crc32(view, self.crc)
        self.md5.update(view)
        self.sha256.update(view)

    def note(self):
        self.target.sync()
        self.record.offset = min(self.taken, self.image_bytes)
        self.record.crc = self.crc
        self._save()
