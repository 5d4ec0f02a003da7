"""A bundle: the compressed file of a slot.

Twelve bytes of head, then a raw deflate stream with a window of at most 4 KiB. What comes out is a
slot's file, which slotboot.py reads in its place: head, a table with the CRC-32 of each path and
where its file is (0: a folder), then the files, each with length of path, path, bytes, CRC-32 of
path and content. Generators, since both take their time.
"""

import struct
from binascii import crc32

from iothub.compat import const
from iothub.errors import StorageError, UpdateError

_HEAD = ">4sBxxxI"
_HEAD_BYTES = const(12)
_HEAD_MAGIC = b"IHB\x01"
_MAX_WBITS = const(12)

_SLOT = ">4sIII"
_SLOT_BYTES = const(16)
_SLOT_MAGIC = b"IHS\x01"
_ENTRY_BYTES = const(8)
_MAX_FILES = const(256)
_MAX_PATH_BYTES = const(64)
_PATH_BYTES = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./"
_MAIN = b"main.mpy"

_BUFFER_BYTES = const(1024)


def unpack(source, inflate, target, limit_bytes):
    """Writes the slot's file of a bundle. `source`, `target`: open files; `inflate(file, wbits)`
    gives a file of what comes out of a raw deflate stream; `limit_bytes`: `unpacked` of the
    trailer. Raises UpdateError: the bundle is damaged or expands to more, StorageError."""
    magic, wbits, size = struct.unpack(_HEAD, _read(source, _HEAD_BYTES))
    if magic != _HEAD_MAGIC or not 8 <= wbits <= _MAX_WBITS:
        raise UpdateError("not a bundle this version can unpack")
    if size > limit_bytes:
        raise UpdateError("the bundle unpacks to %d bytes, not %d" % (size, limit_bytes))
    stream = None
    buf = memoryview(bytearray(_BUFFER_BYTES))
    written = 0
    while True:
        try:
            if stream is None:
                stream = inflate(source, wbits)
            count = stream.readinto(buf)
        except (EOFError, OSError, ValueError):
            raise UpdateError("the bundle is damaged")
        if not count:
            break
        written += count
        if written > size:
            raise UpdateError("the bundle expands to more than it says")
        try:
            if target.write(buf if count == _BUFFER_BYTES else buf[:count]) != count:
                raise OSError(28, "no space left")
        except OSError as e:
            raise StorageError("cannot write the slot", None, e.errno)
        yield
    if written != size:
        raise UpdateError("the bundle ends early")


def verify(file, size):
    """Reads a slot's file of `size` bytes back, each file of it. Raises UpdateError."""
    magic, entries, total, crc = struct.unpack(_SLOT, _read(file, _SLOT_BYTES))
    if magic != _SLOT_MAGIC or total != size or not 0 < entries <= _MAX_FILES:
        raise UpdateError("the slot is no slot")
    table = _read(file, entries * _ENTRY_BYTES)
    if crc32(table) != crc:
        raise UpdateError("the slot's table is damaged")
    at = _SLOT_BYTES + len(table)
    places = {}
    for i in range(0, len(table), _ENTRY_BYTES):
        name, place = struct.unpack_from(">II", table, i)
        places[name] = place
    if len(places) != entries:
        raise UpdateError("two paths of the slot look the same")
    buf = memoryview(bytearray(_BUFFER_BYTES))
    found = False
    while at < total:
        length = _read(file, 1)[0]
        path = _read(file, length)
        _check_path(path)
        found = found or path == _MAIN
        crc = crc32(path)
        if places.pop(crc, None) != at:
            raise UpdateError("the slot's table does not have " + path.decode())
        left, expected = struct.unpack(">II", _read(file, 8))
        at += 9 + length + left
        if at > total:
            raise UpdateError("the slot ends within " + path.decode())
        while left:
            part = buf if left >= _BUFFER_BYTES else buf[:left]
            if file.readinto(part) != len(part):
                raise UpdateError("the slot ends within " + path.decode())
            crc = crc32(part, crc)
            left -= len(part)
        if crc != expected:
            raise UpdateError("the slot's file is damaged: " + path.decode())
        yield
    if any(places.values()):
        raise UpdateError("the slot's table has more files than the slot")
    if not found:
        raise UpdateError("the slot has no main.mpy")


def _read(file, size):
    data = file.read(size)
    if len(data) != size:
        raise UpdateError("it ends early")
    return data


def _check_path(path):
    """Raises UpdateError for what could name a place outside the slot."""
    good = 0 < len(path) <= _MAX_PATH_BYTES
    for byte in path:
        good = good and byte in _PATH_BYTES
    for part in path.split(b"/"):
        good = good and part not in (b"", b".", b"..")
    if not good:
        raise UpdateError("the slot has a file with a forbidden path")
