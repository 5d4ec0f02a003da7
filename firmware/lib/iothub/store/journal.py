"""One small record that survives a power cut at any moment.

Two files take turns: save() writes the older one, so the newer stays whole whatever happens
meanwhile; load() takes the newest that is whole. The storage is handed in (port/files.py); it need
not be atomic.
"""

import struct
from binascii import crc32

from iothub.compat import const
from iothub.errors import BadInput, StorageError

MAX_BYTES = 2048

# Magic with the format's version, sequence number, bytes of payload, CRC-32 of all but itself.
_HEADER = ">3sHHI"
_HEADER_BYTES = const(11)
_CRC_AT = const(7)
_MAGIC = b"IJ\x01"


class Journal:
    """The record `name`, in the files name.a and name.b. `max_bytes` of payload, at most 65535."""

    def __init__(self, storage, name, max_bytes=MAX_BYTES):
        self._storage = storage
        self._names = (name + ".a", name + ".b")
        self._max_bytes = max_bytes
        self._newest = None  # which of the names; unknown until they were read
        self._sequence = 0

    def load(self):
        """The payload saved last, or None when there is none: nothing was saved yet, or all is
        torn, foreign or over the cap."""
        found = None
        self._newest = 1
        for i in (0, 1):
            record = self._storage.read(self._names[i], 0, _HEADER_BYTES + self._max_bytes + 1)
            if record is None or len(record) < _HEADER_BYTES:
                continue
            magic, sequence, size, crc = struct.unpack_from(_HEADER, record)
            payload = record[_HEADER_BYTES:]
            if magic != _MAGIC or size != len(payload) or _crc(record, payload) != crc:
                continue
            # The numbers wrap: newer is what is less than half the circle ahead.
            if found is None or (sequence - self._sequence) & 0xFFFF < 0x8000:
                found = payload
                self._sequence = sequence
                self._newest = i
        return found

    def save(self, payload):
        """Returns when the record is on the flash. Raises StorageError; then the one saved before
        still holds. Raises BadInput over the cap."""
        if len(payload) > self._max_bytes:
            raise BadInput("payload", "at most %d bytes in a journal" % self._max_bytes)
        if self._newest is None:
            self.load()
        older = 1 - self._newest
        sequence = (self._sequence + 1) & 0xFFFF
        record = bytearray(_HEADER_BYTES + len(payload))
        record[_HEADER_BYTES:] = payload
        struct.pack_into(_HEADER, record, 0, _MAGIC, sequence, len(payload), 0)
        struct.pack_into(">I", record, _CRC_AT, _crc(record, payload))
        try:
            self._storage.write(self._names[older], record)
        except OSError as e:
            raise StorageError("cannot save " + self._names[older], None, e.errno)
        self._newest = older
        self._sequence = sequence


def _crc(record, payload):
    return crc32(payload, crc32(record[:_CRC_AT]))
