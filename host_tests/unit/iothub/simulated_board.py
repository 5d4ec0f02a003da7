"""A board with slots, and with the two partitions of an ESP32, as far as updates see it: files in
a folder, a bootloader that goes back, and slotboot.py at each start."""

import slotboot
from iothub.port.files import Files
from iothub.store.journal import Journal
from iothub.update.slots import MAX_RECORD_BYTES, Slots

from host_tests.unit.iothub import bundles
from host_tests.unit.iothub.signed_images import BOARD, PRODUCT, PUBLIC

POWER_ON = 1
WATCHDOG = 3
BLOCK_BYTES = 4096


class Partition:
    """As esp32.Partition. Writing does not erase: it clears bits only."""

    def __init__(self, board, label, flash):
        self._board = board
        self._label = label
        self.flash = flash

    def info(self):
        return (0, 16, 0, len(self.flash), self._label, False)

    def ioctl(self, operation, block):
        assert operation == 6
        at = block * BLOCK_BYTES
        self.flash[at : at + BLOCK_BYTES] = b"\xff" * BLOCK_BYTES
        return 0

    def writeblocks(self, block, buf, offset):
        at = block * BLOCK_BYTES + offset
        for i in range(len(buf)):
            self.flash[at + i] &= buf[i]

    def readblocks(self, block, buf, offset):
        at = block * BLOCK_BYTES + offset
        buf[:] = self.flash[at : at + len(buf)]

    def set_boot(self):
        self._board.otadata = (self._label, "new")


class SimulatedBoard:
    """`tree`: its file system, an empty one. With `partitions`, an ESP32 with two, of which the
    first runs; else another chip. It is what port/updates.py is on a real one, too."""

    BOARD = BOARD
    BYTECODE = 6
    inflate = staticmethod(bundles.inflate)

    def __init__(self, tree, root, partitions=0, has_slots=True):
        self.tree = tree
        self.root = root
        self.running = "ota_0"
        self.partitions = {}
        # What the bootloader goes by: a partition, and what it knows of it.
        self.otadata = ("ota_0", "valid")
        for i in range(partitions):
            flash = bytearray(b"\xff" * (4 * BLOCK_BYTES))
            flash[:14] = b"\xe9" + bytes(13)
            self.partitions["ota_%d" % i] = Partition(self, "ota_%d" % i, flash)
        tree.make_folder("/slots")
        tree.make_folder("/state")
        if has_slots:
            for name in ("a", "base"):
                self.put("/slots/" + name, bundles.slot_file({"main.mpy": name.encode()}))
        self.put("/slots/keys", b"\x01\x00" + PUBLIC)

    def put(self, path, content):
        with self.tree.open(path, "wb") as file:
            file.write(content)

    # port/updates.py

    def running_partition(self):
        return self.partitions.get(self.running)

    def spare_partition(self):
        for label in self.partitions:
            if label != self.running:
                return self.partitions[label]
        return None

    def mark_valid(self):
        self.otadata = (self.running, "valid")

    # The board

    def slots(self, **options):
        journal = Journal(Files(self.root + "/state"), "slots", MAX_RECORD_BYTES)
        return Slots(self, journal, PRODUCT, **options)

    def start(self, cause=POWER_ON):
        """Resets the board; returns the name of what slotboot starts."""
        label, state = self.otadata
        if state == "new":
            self.otadata = (label, "pending")
            self.running = label
        elif state == "pending":  # not confirmed in the start before
            self.running = "ota_0" if label == "ota_1" else "ota_1"
            self.otadata = (self.running, "valid")
        return slotboot.choose(self.root, cause)[0]

    def fail_at_start(self, cause):
        """The same, and what starts raises."""
        name = self.start(cause)
        if name != "base":
            slotboot.note("it raised", self.root)
        return name

    def record(self):
        return slotboot.Record(self.root + "/state").state
