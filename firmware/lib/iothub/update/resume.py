"""What is remembered of a download over a reset: which file, how much of it is on the flash, and
the CRC-32 of that (a hash could not be stored). Document "OTA 断点续传". Pure, over a journal."""

import struct

from iothub.compat import const

# So many bytes of the file between two records: what a power cut costs, and what wears the flash.
INTERVAL_BYTES = const(32 * 1024)

# Stages of a file.
LOADING = const(0)
INSTALLED = const(1)  # a restart is to show what it is worth
REFUSED = const(2)  # it was tried, and is not to be tried again

_VERSION = const(2)
# Version of the record, stage, MD5, size, offset, CRC-32; then the texts, a line each, last that
# of which nobody knows what is in it.
_LAYOUT = ">BB16sIII"
_LAYOUT_BYTES = const(30)


class Record:
    """Of the file with this `version`, `md5` (16 bytes), `size` and `etag`: `offset` bytes are in
    the target of this name, with that CRC-32."""

    def __init__(self, version, md5, size, etag="", target="", offset=0, crc=0, stage=LOADING):
        self.version = version
        self.md5 = md5
        self.size = size
        self.etag = etag
        self.target = target
        self.offset = offset
        self.crc = crc
        self.stage = stage

    def is_of(self, update):
        """Whether it is of the file of that ota_update.Update, and not of one that was issued
        anew under the same version."""
        return (self.version, self.md5, self.size) == (update.version, update.md5, update.size)

    def packed(self):
        packed = struct.pack(
            _LAYOUT, _VERSION, self.stage, self.md5, self.size, self.offset, self.crc
        )
        return packed + "\n".join((self.etag, self.target, self.version)).encode()


def load(journal):
    """The Record in a journal, or None."""
    packed = journal.load()
    if not packed or packed[0] != _VERSION:
        return None
    _, stage, md5, size, offset, crc = struct.unpack_from(_LAYOUT, packed)
    etag, target, version = str(packed[_LAYOUT_BYTES:], "utf-8").split("\n", 2)
    return Record(version, md5, size, etag, target, offset, crc, stage)
