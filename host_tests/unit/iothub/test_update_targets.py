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
