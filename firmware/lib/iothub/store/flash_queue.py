"""Messages that wait for a connection, on flash: they survive a power cut at any moment.

A log in segments, which are files of a few KiB: put() appends a record to the newest one, and a
segment is removed when all in it is settled. RAM holds four numbers a segment, what is taken, and
the next message. Settling writes nothing more, except that now and then the place of the oldest
unsettled message goes to a journal, so that few settled ones come again after a power cut.
"""

import struct
from binascii import crc32

from iothub.compat import const
from iothub.errors import QueueFull, StorageError
from iothub.loading import for_now
from iothub.store.journal import Journal
from iothub.store.queue import Entry, RamQueue

MAX_MESSAGES = 1000
MAX_BYTES = 65536
# A block of the flash: an append to a file rewrites its last block whatever its size.
SEGMENT_BYTES = 4096

# CRC-32 of all that follows, begun with the segment's number; format version and retain flag;
# packet id; bytes of topic; bytes of payload. Then topic and payload.
_HEADER = ">IBHHH"
_HEADER_BYTES = const(11)
_SIZES_AT = const(7)
_VERSION = const(0x10)
_RETAIN = const(1)
MAX_RECORD_BYTES = const(0xFFFF)
_MAX_PACKET_IDS = const(0x7FFF)
_SETTLED_PER_MARK = const(16)
# Read at once of the next message; most are smaller.
_READ_BYTES = const(256)

# A segment in RAM is a list: the file's number (it only grows), the offset of the next record to
# be taken, the end of the records, and how many of them are unsettled. flash_recovery.py makes
# those of an earlier run, which has to be done once, at the start.
_NUMBER = const(0)
_NEXT = const(1)
_END = const(2)
_UNSETTLED = const(3)

_NO_SPACE_LEFT = const(28)


class FlashQueue(RamQueue):
    """What RamQueue does, but the messages are on flash.

    A message is safe when put() returns; put() also raises StorageError. After a reset everything
    unsettled comes out again, in order, with its packet id (32768 to 65535) and `dup`; so may the
    last few that were settled or dropped. `corrupt` counts the segments that were not whole.
    A message counts 11 bytes more than its topic and payload, and 65535 are the most.
    """

    _OVERHEAD_BYTES = _HEADER_BYTES
    durable = True

    # What flash_recovery.py finds.
    _last_number: int
    _marked: bytes
    _recovered: int  # messages of an earlier run not taken yet; they are the oldest

    def __init__(
        self,
        storage,
        name="queue",
        max_messages=MAX_MESSAGES,
        max_bytes=MAX_BYTES,
        drop_oldest=False,
        segment_bytes=SEGMENT_BYTES,
    ):
        """Reads what an earlier run left in `storage` (port/files.py), files name.*. Raises
        LinkError or MemoryError when the code for that cannot be loaded."""
        # No two messages kept have one packet id, but for what an earlier run left: see peek().
        super().__init__(min(max_messages, _MAX_PACKET_IDS), max_bytes, drop_oldest)
        self._storage = storage
        self._prefix = name + "."
        self._segment_bytes = min(segment_bytes, MAX_RECORD_BYTES)
        self._segments = []
        self._growing = False  # whether the last segment takes more records
        self._next = None  # the entry to be taken next, once it was read
        self._tokens = {}  # of messages not read back yet, by packet id
        self._last_id = 0xFFFF
        self._settled = 0  # since the last mark
        self._mark = Journal(storage, name + ".mark")
        self.corrupt = 0
        for_now("iothub.store.flash_recovery").recover(self)

    def peek(self):
        """The oldest entry that was not taken yet; or None, also while an entry with the same
        packet id is taken."""
        entry = self._oldest()
        if entry is not None:
            for taken in self._taken:
                if taken.packet_id == entry.packet_id:
                    return None
        return entry

    def _oldest(self):
        if self._next is None:
            for segment in self._segments[:]:
                if segment[_NEXT] < segment[_END]:
                    entry = self._read(segment)
                    if entry is None:
                        self._lose(segment)
                        continue
                    if self._recovered:
                        entry.dup = True
                    else:
                        entry.token = self._tokens.pop(entry.packet_id, None)
                    self._next = entry
                    break
        return self._next

    def _read(self, segment):
        """The next entry of the segment, or None when no whole record is there."""
        read = self._storage.read
        file = self._file(segment[_NUMBER])
        offset = segment[_NEXT]
        content = read(file, offset, _READ_BYTES)
        if content is not None and len(content) >= _HEADER_BYTES:
            size_bytes = _HEADER_BYTES + sum(struct.unpack_from(">HH", content, _SIZES_AT))
            if _READ_BYTES < size_bytes <= segment[_END] - offset:
                content = read(file, offset, size_bytes)
        entry = parse(content, 0, segment[_NUMBER])
        if entry is not None:
            entry.segment = segment
            entry.offset = offset
        return entry

    def _advance(self, entry):
        entry.segment[_NEXT] += entry.size_bytes
        self._next = None
        if self._recovered:
            self._recovered -= 1

    def _keep(self, topic, payload, token, retain, size_bytes):
        if size_bytes > MAX_RECORD_BYTES:
            raise QueueFull("the message is larger than a record on flash")
        packet_id = (self._last_id + 1) & 0xFFFF | 0x8000
        segment = self._segment_for(size_bytes)
        record = bytearray(size_bytes)
        body = _HEADER_BYTES + len(topic)
        record[_HEADER_BYTES:body] = topic
        record[body:] = payload
        flags = _VERSION | _RETAIN if retain else _VERSION
        struct.pack_into(_HEADER, record, 0, 0, flags, packet_id, len(topic), len(payload))
        struct.pack_into(">I", record, 0, crc32(memoryview(record)[4:], segment[_NUMBER]))
        self.writes += 1
        try:
            self._storage.append(self._file(segment[_NUMBER]), record)
        except OSError as e:
            if not segment[_END]:
                self._remove(segment)
            if e.errno == _NO_SPACE_LEFT:
                raise QueueFull("the flash is full", None, _NO_SPACE_LEFT)
            raise StorageError("cannot store a message", None, e.errno)
        if not segment[_END]:
            self._segments.append(segment)
            self._growing = True
        segment[_END] += size_bytes
        segment[_UNSETTLED] += 1
        self._last_id = packet_id
        if token is not None:
            self._tokens[packet_id] = token

    def _segment_for(self, size_bytes):
        """The last segment if it takes the record, else a new one. It takes none when its file is
        longer than what we know of: a write that failed left something there."""
        if self._growing:
            segment = self._segments[-1]
            end = segment[_END]
            if end + size_bytes <= self._segment_bytes:
                if self._storage.size(self._file(segment[_NUMBER])) == end:
                    return segment
        self._growing = False
        self._last_number += 1
        return [self._last_number, 0, 0, 0]

    def _forget(self, entry):
        super()._forget(entry)
        segment = entry.segment
        segment[_UNSETTLED] -= 1
        self._settled += 1
        if not segment[_UNSETTLED]:
            self._drop_segment(segment)
        elif self._settled >= _SETTLED_PER_MARK:
            self._save_mark()

    def _drop_segment(self, segment):
        if segment is self._segments[-1]:
            self._growing = False
        self._segments.remove(segment)
        self._remove(segment)
        self._settled = 0

    def _save_mark(self):
        """Notes where the oldest unsettled message is. If that fails, more come again."""
        self._settled = 0
        if self._taken:
            segment = self._taken[0].segment
            offset = self._taken[0].offset
        else:
            for segment in self._segments:
                offset = segment[_NEXT]
                if offset < segment[_END]:
                    break
        place = struct.pack(">II", segment[_NUMBER], offset)
        if place != self._marked:
            self._marked = place
            self.writes += 1
            try:
                self._mark.save(place)
            except StorageError:
                pass

    def _lose(self, segment):
        """What waits in the segment was whole when it was put, or at the start, and is no more."""
        self.corrupt += 1
        lost = segment[_UNSETTLED]
        for entry in self._taken:
            if entry.segment is segment:
                lost -= 1
        self._bytes -= segment[_END] - segment[_NEXT]
        self.unsettled -= lost
        self._recovered = max(0, self._recovered - lost)
        segment[_NEXT] = segment[_END]
        segment[_UNSETTLED] -= lost
        if not segment[_UNSETTLED]:
            self._drop_segment(segment)

    def _file(self, number):
        return "%s%08x" % (self._prefix, number)

    def _remove(self, segment):
        """A file that cannot be removed comes again after the next start, no more."""
        self.writes += 1
        try:
            self._storage.remove(self._file(segment[_NUMBER]))
        except OSError:
            pass


def parse(content, at, number):
    """The Entry of the record at `at` in a segment's content, or None when none is whole there."""
    if content is None or len(content) < at + _HEADER_BYTES:
        return None
    crc, flags, packet_id, topic_bytes, payload_bytes = struct.unpack_from(_HEADER, content, at)
    topic = at + _HEADER_BYTES
    payload = topic + topic_bytes
    end = payload + payload_bytes
    view = memoryview(content)
    # A short content has another CRC.
    if flags & ~_RETAIN != _VERSION or crc32(view[at + 4 : end], number) != crc:
        return None
    entry = Entry(content[topic:payload], view[payload:end], None, flags & _RETAIN, end - at)
    entry.packet_id = packet_id
    return entry
