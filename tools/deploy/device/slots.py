# Runs on the board, in the names of its REPL, after tools/repl/device/files.py: what deploying
# needs of slotboot.py's slots and of its record.
import os
import struct
import sys

_f = None


def _slotboot():
    if "slotboot" not in sys.modules:
        sys.path.insert(0, "/")
        try:
            import slotboot  # noqa: F401
        finally:
            sys.path.pop(0)
    return sys.modules["slotboot"]


def forget_slotboot():
    """It was replaced: the next one who asks gets the new one."""
    sys.modules.pop("slotboot", None)


def state():
    """What is in the record; {} where there is none, or nothing that could read it."""
    try:
        return _slotboot().Record("/state").state
    except ImportError:
        return {}


def save(state):
    """Returns what is in the record then."""
    record = _slotboot().Record("/state")
    record.state = state
    record.save()
    return _slotboot().Record("/state").state


def sizes(paths):
    """The bytes of each file (0: a folder), None where there is nothing."""
    found: list = []
    for path in paths:
        try:
            found.append(os.stat(path)[6])
        except OSError:
            found.append(None)
    return found


def entries(path):
    """[place, bytes, CRC-32 of path and content] of each file of a slot, [] if it is none."""
    found = []
    try:
        with open(path, "rb") as file:
            magic, count, _, _ = struct.unpack(">4sIII", file.read(16))
            if magic != b"IHS\x01" or count > 256:
                return []
            table = file.read(8 * count)
            for i in range(count):
                place = struct.unpack_from(">I", table, 8 * i + 4)[0]
                if place:
                    file.seek(place)
                    length = 9 + file.read(1)[0]
                    file.seek(length - 9, 1)
                    size, crc = struct.unpack(">II", file.read(8))
                    found.append((place, length + size, crc))
    except (OSError, ValueError, IndexError):
        return []
    return found


def begin(path):
    global _f
    _f = open(path, "wb")  # noqa: SIM115


def add(source, place, size):
    """Bytes of another file, appended to the one begun."""
    buf = memoryview(bytearray(512))
    with open(source, "rb") as old:
        old.seek(place)
        while size:
            part = buf[: min(size, 512)]
            if old.readinto(part) != len(part):
                raise OSError(5)
            _f.write(part)
            size -= len(part)


def end():
    global _f
    _f.close()
    _f = None
    if hasattr(os, "sync"):  # not on the desk
        os.sync()
