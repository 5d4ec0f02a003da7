"""Puts the file of an update into its target (partition.py, download_file.py) block by block, and
knows its digests. The trailer at the file's end is kept apart. Pure over target and place; what a
place is says net/ota.py."""

from binascii import crc32
from hashlib import md5, sha256

from iothub.compat import const
from iothub.errors import UpdateError
from iothub.update import image
from iothub.update.resume import INTERVAL_BYTES
from iothub.update_codes import WRONG_MD5

BLOCK_BYTES = const(4096)


class Writer:
    """Of one file: `record` (resume.Record) says which, and what of it is in the target; `save()`
    keeps the record. `taken`: so many bytes from the beginning of the file are in the target, or
    in the one block that is in RAM. `tail`: the trailer as it came, b"" before."""

    def __init__(self, record, place, save):
        self.record = record
        self.image_bytes = record.size - image.TRAILER_BYTES
        if self.image_bytes < image.HEAD_BYTES:
            raise UpdateError("the file is shorter than a trailer and an image")
        self._place = place
        self._save = save
        self._target = None
        self._block = memoryview(bytearray(BLOCK_BYTES))
        self.begin()

    def begin(self):
        """From the beginning of the file, whatever is in the target."""
        self.taken = 0
        self.tail = b""
        self._tail_first = False
        self._tail_space = None
        self._crc = 0
        self._md5 = md5()
        self._sha256 = sha256()

    @property
    def is_complete(self):
        return self.taken >= self.image_bytes and self.tail != b""

    def take_tail(self, tail):
        """The trailer (bytes), before the rest. Raises UpdateError."""
        image.parse(tail)  # and not kept: heap is scarce while it downloads
        self.tail = tail
        self._tail_first = True

    def read_again(self):
        """After a reset: reads what the record says is in the target. A generator, since that
        takes its time; `taken` is there when it ends, or 0 if it is not what was recorded."""
        record = self.record
        if not record.offset:
            return
        try:
            self._target = self._place.target(record.target)
            while self.taken < record.offset:
                part = self._block[: min(BLOCK_BYTES, record.offset - self.taken)]
                self._target.read(self.taken, part)
                self.taken += len(part)
                self._digest(part)
                yield
        except OSError:  # less of it is there, or nothing
            record.crc = ~self._crc
        at_block = not self.taken % BLOCK_BYTES or self.taken == self.image_bytes
        if self._crc != record.crc or not at_block:
            self.begin()

    def space(self):
        """Where the next bytes of the file go (memoryview)."""
        left = self.image_bytes - self.taken
        if left <= 0:
            if self._tail_space is None:
                self._tail_space = memoryview(bytearray(image.TRAILER_BYTES))
            return self._tail_space[-left:]
        at = self.taken % BLOCK_BYTES
        if not at and left >= BLOCK_BYTES:
            return self._block
        return self._block[at : min(BLOCK_BYTES, at + left)]

    def took(self, count):
        """So many bytes are in space(). Whether they made a block full, which is written then.
        Raises UpdateError, StorageError."""
        self.taken = taken = self.taken + count
        used = taken % BLOCK_BYTES
        if not used and taken <= self.image_bytes:
            self._write(taken - BLOCK_BYTES, self._block)
            return True
        if taken == self.image_bytes:
            self._write(taken - used, self._block[:used])
            return True
        if taken == self.record.size:
            self.tail = bytes(self._tail_space)
        return False

    def finish(self):
        """The image.Trailer, once the file is complete and right. Raises UpdateError, after which
        begin() is all that is left."""
        self._md5.update(self.tail)
        if self._md5.digest() != self.record.md5:
            raise UpdateError("its MD5 is not the one announced", None, WRONG_MD5)
        trailer = image.parse(self.tail)
        if not self._tail_first:  # the place has not seen it yet
            head = self._block[: image.HEAD_BYTES]
            self._target.read(0, head)
            if self._place.admit(trailer, head, self.record.size) != self.record.target:
                raise UpdateError("it begins as another kind than it says")
        image.verify(trailer, self._sha256.digest())
        self._note()
        return trailer

    def close(self):
        if self._target is not None:
            self._target.close()

    def _write(self, offset, view):
        record = self.record
        if not offset:
            self.close()
            trailer = image.parse(self.tail) if self.tail else None
            record.target = self._place.admit(trailer, view, record.size)
            self._target = self._place.target(record.target)
            record.offset = 0
        self._target.write(offset, view)
        self._digest(view)
        if self.taken - record.offset >= INTERVAL_BYTES:
            self._note()

    def _digest(self, view):
        self._crc = crc32(view, self._crc)
        self._md5.update(view)
        self._sha256.update(view)

    def _note(self):
        self._target.sync()
        self.record.offset = min(self.taken, self.image_bytes)
        self.record.crc = self._crc
        self._save()
