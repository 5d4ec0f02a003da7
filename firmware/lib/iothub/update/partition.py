"""An application of the ESP32 that is written into its next OTA partition."""

from iothub.compat import const

_BLOCK_BYTES = const(4096)
_ERASE = const(6)  # ioctl


class PartitionTarget:
    """Where a download is written: `partition` is the inactive esp32.Partition."""

    def __init__(self, partition):
        self._partition = partition

    def write(self, offset, view):
        """Erases the block at `offset`, a multiple of 4096, and writes `view`, a block at most."""
        block = offset // _BLOCK_BYTES
        self._partition.ioctl(_ERASE, block)
        self._partition.writeblocks(block, view, 0)

    def read(self, offset, view):
        """Fills `view` with what lies from `offset` on."""
        self._partition.readblocks(offset // _BLOCK_BYTES, view, offset % _BLOCK_BYTES)

    def sync(self):
        """Returns when all that was written stays through a power cut."""

    def close(self):
        """The target is not used any more."""
