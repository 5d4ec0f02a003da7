"""Where a download is written: a file, or a partition of an ESP32."""

from iothub.errors import StorageError
from iothub.update.download_file import FileTarget
from iothub.update.partition import PartitionTarget

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.temporary_tree import TemporaryTree

BLOCK_BYTES = 4096


class Partition:
    """As esp32.Partition: writing with an offset does not erase, and clears bits only."""

    def __init__(self, blocks):
        self.flash = bytearray(b"\x5a" * (blocks * BLOCK_BYTES))

    def info(self):
        return (0, 16, 0x10000, len(self.flash), "ota_0", False)

    def ioctl(self, operation, block):
        assert operation == 6
        at = block * BLOCK_BYTES
        self.flash[at : at + BLOCK_BYTES] = b"\xff" * BLOCK_BYTES
        return 0

    def writeblocks(self, block, buf, offset):
        at = block * BLOCK_BYTES + offset
        assert at + len(buf) <= len(self.flash)
        for i in range(len(buf)):
            self.flash[at + i] &= buf[i]

    def readblocks(self, block, buf, offset):
        at = block * BLOCK_BYTES + offset
        buf[:] = self.flash[at : at + len(buf)]


def download(target, content, begin=0):
    """As a download writes it."""
    view = memoryview(content)
    for at in range(begin, len(content), BLOCK_BYTES):
        target.write(at, view[at : at + BLOCK_BYTES])
    target.sync()


def read(target, size):
    content = bytearray(size)
    view = memoryview(content)
    for at in range(0, size, BLOCK_BYTES):
        target.read(at, view[at : at + BLOCK_BYTES])
    return content


CONTENT = bytes([at * 7 & 255 for at in range(11000)])


def test_a_partition_is_erased_and_written():
    partition = Partition(4)
    target = PartitionTarget(partition)
    download(target, CONTENT)
    assert read(target, len(CONTENT)) == CONTENT
    assert partition.flash[12288] == 0x5A, "no block is erased ahead of need"
    target.close()


def test_a_file_goes_on_where_another_target_left_it():
    with TemporaryTree() as tree:
        target = FileTarget(tree, "/download")
        download(target, CONTENT[:9000])
        target.close()
        target = FileTarget(tree, "/download")
        # More was written than was noted.
        download(target, CONTENT, 8192)
        assert read(target, len(CONTENT)) == CONTENT
        target.close()
        assert tree.size("/download") == len(CONTENT)


def test_a_file_begun_anew_keeps_nothing():
    with TemporaryTree() as tree:
        target = FileTarget(tree, "/download")
        download(target, CONTENT)
        download(target, CONTENT[:100])
        target.close()
        assert tree.size("/download") == 100


def test_what_is_not_there_cannot_be_read():
    with TemporaryTree() as tree:
        target = FileTarget(tree, "/download")
        raises(StorageError, target.read, 0, bytearray(1))
        download(target, CONTENT)
        raises(StorageError, target.read, 10999, bytearray(2))
        target.close()
        error = raises(StorageError, FileTarget(tree, "/no/download").write, 0, b"x")
        assert error.errno == 2


class Disk:
    """One file, as port/tree.py gives it; `calls` has what was asked of it. `taken`: so many bytes
    of a write are taken at most."""

    def __init__(self):
        self.content = bytearray()
        self.calls = []
        self.taken = BLOCK_BYTES
        self.error = None
        self._at = 0

    def size(self, path):
        return len(self.content) if self.content else -1

    def open(self, path, mode):
        self.calls.append(mode)
        self._at = 0
        if mode == "w+b":
            self.content = bytearray()
        return self

    def seek(self, offset):
        self.calls.append(offset)
        self._at = offset

    def write(self, view):
        if self.error is not None:
            raise self.error
        part = view[: self.taken]
        self.content[self._at : self._at + len(part)] = part
        self._at += len(part)
        return len(part)

    def readinto(self, view):
        part = self.content[self._at : self._at + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def flush(self):
        self.calls.append("flush")
        if self.error is not None:
            raise self.error

    def close(self):
        self.calls.append("close")


def test_a_file_is_told_where_to_go_on_only_if_it_must_be():
    disk = Disk()
    target = FileTarget(disk, "/download")
    target.sync()
    target.close()
    assert disk.calls == [], "there was nothing to keep"
    download(target, CONTENT[:8192])
    target.close()
    target.close()
    assert disk.calls == ["w+b", "flush", "close"]
    disk.calls.clear()
    download(target, CONTENT, 8192)
    assert disk.calls == ["r+b", 8192, "flush"]
    disk.calls.clear()
    assert read(target, len(CONTENT)) == CONTENT
    assert disk.calls == [0]
    disk.calls.clear()
    download(target, CONTENT[:100])
    assert disk.calls == ["close", "w+b", "flush"] and disk.content == CONTENT[:100]


def test_a_flash_that_fails_is_told_and_the_place_is_looked_for_again():
    for taken, error in ((BLOCK_BYTES - 1, None), (BLOCK_BYTES, OSError(28, "no space left"))):
        disk = Disk()
        target = FileTarget(disk, "/download")
        download(target, CONTENT[:4096])
        disk.taken = taken
        disk.error = error
        view = memoryview(CONTENT)[4096:8192]
        assert raises(StorageError, target.write, 4096, view).errno == 28
        if error is not None:
            assert raises(StorageError, target.sync).errno == 28
        disk.taken = BLOCK_BYTES
        disk.error = None
        disk.calls.clear()
        target.write(4096, view)
        assert disk.calls == [4096] and disk.content == CONTENT[:8192]
