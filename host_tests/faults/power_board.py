"""A board whose power can go: slots on LittleFS, and an ESP32's two partitions with the two
sectors its bootloader goes by, on one flash. The flash remembers every change (power_media.py), so
that a cut can be rebuilt at each of them."""

import os
import struct
from binascii import crc32

import slotboot
import vfs
from iothub.port.files import Files
from iothub.port.tree import Tree
from iothub.port.updates import inflate
from iothub.store.journal import Journal

from host_tests.faults.power_media import apply_to_flash, tear_flash
from host_tests.unit.iothub import bundles
from host_tests.unit.iothub.signed_images import BOARD, PRODUCT, PUBLIC

BLOCK_BYTES = 4096
_PROGRAM_BYTES = 256
_POINT = "/power"
_SECTORS = 2  # of otadata
# esp_ota_select_entry_t: sequence, label, state, CRC-32 of the sequence.
_SELECT = "<I20sII"
_SELECT_BYTES = 32
_NEW, _PENDING, _VALID, _INVALID, _ABORTED = range(5)
_LABELS = ("ota_0", "ota_1")


class Area:
    """Some blocks of the flash as a block device, for LittleFS and as esp32.Partition. A write
    is one change, in which a cut may leave any bits; with `by_page` each page of it is."""

    def __init__(self, flash, first_block, blocks, by_page):
        self._flash = flash
        self._at = first_block * BLOCK_BYTES
        self.blocks = blocks
        self._step = _PROGRAM_BYTES if by_page else BLOCK_BYTES

    def readblocks(self, block, buf, offset=0):
        at = self._at + block * BLOCK_BYTES + offset
        buf[:] = memoryview(self._flash.data)[at : at + len(buf)]

    def writeblocks(self, block, buf, offset=0):
        at = self._at + block * BLOCK_BYTES + offset
        for i in range(0, len(buf), self._step):
            self._flash.change((at + i, bytes(buf[i : i + self._step])))

    def ioctl(self, operation, block):
        if operation == 4:
            return self.blocks
        if operation == 5:
            return BLOCK_BYTES
        if operation == 6:
            self._flash.change((self._at + block * BLOCK_BYTES, None))
        return 0


class Flash:
    def __init__(self, blocks):
        self.data = bytearray(b"\xff" * (blocks * BLOCK_BYTES))
        self.log = []

    def change(self, change):
        address, page = change
        if page is not None:
            # Without an erase before, bits can only be cleared.
            old = bytes(memoryview(self.data)[address : address + len(page)])
            if old != b"\xff" * len(page):
                both = int.from_bytes(old, "big") & int.from_bytes(page, "big")
                change = (address, both.to_bytes(len(page), "big"))
        self.log.append(change)
        apply_to_flash(self.data, change)


class Partition(Area):
    """esp32.Partition, as far as updates use it."""

    def __init__(self, board, label, first_block, blocks):
        super().__init__(board.flash, first_block, blocks, False)
        self._board = board
        self._label = label

    def info(self):
        return (0, 16, self._at, self.blocks * BLOCK_BYTES, self._label, False)

    def set_boot(self):
        self._board.select(self._label)

    def content(self, size):
        return bytes(memoryview(self._flash.data)[self._at : self._at + size])


class Board:
    """What port/updates.py is on a real one, and the power switch. `blocks`: of the file system,
    and of each partition (0: another chip than an ESP32)."""

    BOARD = BOARD
    BYTECODE = 6
    inflate = staticmethod(inflate)

    def __init__(self, blocks, partition_blocks, by_page, slot, application):
        otadata_at = blocks
        self.flash = Flash(blocks + _SECTORS + 2 * partition_blocks)
        self._files = Area(self.flash, 0, blocks, by_page)
        self._otadata = Area(self.flash, otadata_at, _SECTORS, False)
        self.partitions = {}
        if partition_blocks:
            for i in (0, 1):
                at = otadata_at + _SECTORS + i * partition_blocks
                label = _LABELS[i]
                self.partitions[label] = Partition(self, label, at, partition_blocks)
            at = (otadata_at + _SECTORS) * BLOCK_BYTES
            self.flash.data[at : at + len(application)] = application
            # What an older version left in the other one.
            at += partition_blocks * BLOCK_BYTES
            self.flash.data[at:] = bytes(partition_blocks * BLOCK_BYTES)
        self.running = _LABELS[0]
        vfs.VfsLfs2.mkfs(self._files, progsize=_PROGRAM_BYTES)  # type: ignore[arg-type]
        self._mount()
        os.mkdir(_POINT + "/slots")
        self._put("/slots/a", slot)
        self._put("/slots/base", bundles.slot_file({"main.mpy": b"base"}))
        self._put("/slots/keys", b"\x01\x00" + PUBLIC)
        self.off()

    def _put(self, path, content):
        with self.tree.open(path, "wb") as file:
            file.write(content)

    # The power

    def on(self, cause):
        """From the power until the application runs; the name of what slotboot.py starts."""
        if self.partitions:
            self._boot_loader()
        self._mount()
        return slotboot.choose(_POINT, cause)[0]

    def off(self):
        vfs.umount(_POINT)

    def _mount(self):
        vfs.mount(vfs.VfsLfs2(self._files, progsize=_PROGRAM_BYTES), _POINT)  # type: ignore
        self.tree = Tree(_POINT)
        self.storage = Files(_POINT + "/state")

    def begin(self, image):
        """Goes to an earlier state of the flash, and remembers changes from there on."""
        self.flash.data[:] = image
        self.flash.log = []

    apply = staticmethod(apply_to_flash)
    tear = staticmethod(tear_flash)

    # The bootloader of an ESP32, with rollback

    def _boot_loader(self):
        entries = [self._entry(0), self._entry(1)]
        while True:
            newest = None
            for i in (0, 1):
                if entries[i] and (newest is None or entries[i][0] > entries[newest][0]):
                    newest = i
            if newest is None:
                self.running = _LABELS[0]
                return
            sequence, state = entries[newest]
            if state == _PENDING:
                self._write_entry(newest, sequence, _ABORTED)
                entries[newest] = None
                continue
            if state == _NEW:
                self._write_entry(newest, sequence, _PENDING)
            self.running = _LABELS[(sequence - 1) % 2]
            return

    def _entry(self, sector):
        data = bytearray(_SELECT_BYTES)
        self._otadata.readblocks(sector, data)
        sequence, _, state, crc = struct.unpack(_SELECT, data)
        if sequence == 0xFFFFFFFF or crc != crc32(struct.pack("<I", sequence)):
            return None
        return None if state in (_INVALID, _ABORTED) else (sequence, state)

    def _write_entry(self, sector, sequence, state):
        crc = crc32(struct.pack("<I", sequence))
        self._otadata.ioctl(6, sector)
        self._otadata.writeblocks(sector, struct.pack(_SELECT, sequence, b"", state, crc))

    def select(self, label):
        """esp_ota_set_boot_partition()."""
        entries = [self._entry(0), self._entry(1)]
        newest = max([entry[0] for entry in entries if entry] or [0])
        sequence = newest + 1
        while _LABELS[(sequence - 1) % 2] != label:
            sequence += 1
        # The sector of what runs is left alone.
        sector = 1 if entries[0] and entries[0][0] == newest else 0
        self._write_entry(sector, sequence, _NEW)

    # port/updates.py

    def running_partition(self):
        return self.partitions.get(self.running)

    def spare_partition(self):
        return self.partitions.get(_LABELS[1 - _LABELS.index(self.running)])

    def mark_valid(self):
        for sector in (0, 1):
            entry = self._entry(sector)
            if entry and _LABELS[(entry[0] - 1) % 2] == self.running and entry[1] == _PENDING:
                self._write_entry(sector, entry[0], _VALID)

    # What an application makes of it

    product = PRODUCT

    def journal(self, name, max_bytes):
        return Journal(self.storage, name, max_bytes)
