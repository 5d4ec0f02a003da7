"""What keeps the bytes when the power goes: media that remember every change they made.

A cut is not played but rebuilt: the log of a run holds all changes, so the medium as a cut at the
n-th of them leaves it is the first n changes, and the n-th itself not done or half done. What the
device had in RAM is lost in either case.
"""

import vfs
from iothub.port.files import Files

NOT_DONE = 0
HALF_DONE = 1
SCATTERED = 2

BLOCK_BYTES = 4096
PAGE_BYTES = 256
_ERASED = b"\xff"


class Flash:
    """A block device with the RP2040's geometry. A change is (address, page to program) or
    (address, None) for a block to erase; blocks of several pages are several changes."""

    def __init__(self, blocks):
        self.blocks = blocks
        self.data = bytearray(_ERASED * (blocks * BLOCK_BYTES))
        self.log = []

    def readblocks(self, block, buf, offset=0):
        at = block * BLOCK_BYTES + offset
        buf[:] = memoryview(self.data)[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        at = block * BLOCK_BYTES + offset
        for i in range(0, len(buf), PAGE_BYTES):
            self._change((at + i, bytes(buf[i : i + PAGE_BYTES])))

    def ioctl(self, operation, block):
        if operation == 4:
            return self.blocks
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            self._change((block * BLOCK_BYTES, None))
        return 0

    def _change(self, change):
        self.log.append(change)
        apply_to_flash(self.data, change)


def apply_to_flash(data, change):
    address, page = change
    if page is None:
        page = _ERASED * BLOCK_BYTES
    data[address : address + len(page)] = page


def tear_flash(data, change, tear, dice):
    """Half done is the first half; scattered is how cells in between may be read: each bit the old
    or the new one."""
    address, page = change
    if page is None:
        page = _ERASED * BLOCK_BYTES
    if tear == HALF_DONE:
        half = len(page) // 2
        data[address : address + half] = page[:half]
    elif tear == SCATTERED:
        old = int.from_bytes(data[address : address + len(page)], "big")
        new = int.from_bytes(page, "big")
        mask = int.from_bytes(dice.octets(64) * (len(page) // 64), "big")
        torn = old ^ (old ^ new) & mask
        data[address : address + len(page)] = torn.to_bytes(len(page), "big")


class LittleFs:
    """Files on LittleFS on a flash, as the RP2040 port mounts it."""

    # A file is what it was before a write or what it is after it; the flash is not.
    is_atomic = True
    _POINT = "/power"

    def __init__(self, blocks):
        self._flash = Flash(blocks)
        # (The stubs take a block device for a class to derive from.)
        vfs.VfsLfs2.mkfs(self._flash, progsize=PAGE_BYTES)  # type: ignore[arg-type]
        self.open()
        self.close()

    def open(self):
        file_system = vfs.VfsLfs2(self._flash, progsize=PAGE_BYTES)  # type: ignore
        vfs.mount(file_system, self._POINT)
        return Files(self._POINT + "/store")

    def close(self):
        vfs.umount(self._POINT)

    @property
    def log(self):
        return self._flash.log

    def begin(self, image):
        """Goes to an earlier state, and remembers changes from there on."""
        self._flash.data[:] = image
        self._flash.log = []

    def image(self):
        return bytearray(self._flash.data)

    copy = bytearray
    apply = staticmethod(apply_to_flash)
    tear = staticmethod(tear_flash)


class PlainFiles:
    """Files of a system that does not write as a whole (FAT, POSIX): a cut finds any part done. A
    change is (name, new content, whether it was an append) or (name, None, ...) for a removal."""

    is_atomic = False

    def __init__(self, blocks):
        self._files = {}
        self.log = []

    def open(self):
        return self

    def close(self):
        pass

    def begin(self, image):
        self._files = dict(image)
        self.log = []

    def image(self):
        return dict(self._files)

    copy = dict

    @staticmethod
    def apply(files, change):
        name, content, _ = change
        if content is None:
            del files[name]
        else:
            files[name] = content

    @staticmethod
    def tear(files, change, tear, dice):
        """Scattered: the file has its new length already, and stale bytes where the new ones
        were to go."""
        name, content, is_append = change
        if content is None or tear == NOT_DONE:
            return
        begin = len(files.get(name, b"")) if is_append else 0
        cut = begin + dice.below(len(content) - begin + 1)
        files[name] = content[:cut]
        if tear == SCATTERED:
            files[name] += _stale(files, name if is_append else None, len(content) - cut)

    def names(self):
        return list(self._files)

    def size(self, name):
        return len(self._files[name]) if name in self._files else -1

    def read(self, name, offset=0, size=-1):
        if name not in self._files:
            return None
        content = self._files[name][offset:]
        return content if size < 0 else content[:size]

    def write(self, name, data):
        self._change((name, bytes(data), False))

    def append(self, name, data):
        self._change((name, self._files.get(name, b"") + bytes(data), True))

    def remove(self, name):
        if name not in self._files:
            raise OSError(2, "no such file")
        self._change((name, None, False))

    def _change(self, change):
        self.log.append(change)
        self.apply(self._files, change)


def _stale(files, but, size):
    """What lay there before: bytes of other files, whole records of them if it comes to that. (Of
    the file itself too, unless it is only ever appended to.)"""
    stale = b"".join([files[name] for name in sorted(files) if name != but])
    return (stale + bytes(size))[:size]
