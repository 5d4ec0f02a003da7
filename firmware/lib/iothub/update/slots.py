"""Where updates go on a device: its half of the states that slotboot.py starts from, and a `place`
as net/ota.py describes it.

    slots = Slots(port.for_updates(), Journal(storage, "slots", MAX_RECORD_BYTES), product_id)
    device.ota.start(slots.version or "1.0", slots)

A bundle goes into the slot that does not run; an ESP32 application into the partition that does
not run. Either is journalled before it counts, runs on trial, and is given up unless confirm() is
called in time (update/confirm.py). Pure, over the chip's half (port/updates.py).
"""

import json

from iothub.compat import const
from iothub.errors import StorageError, UpdateError
from iothub.update import bundle, image
from iothub.update.download_file import FileTarget
from iothub.update.partition import PartitionTarget, chip_of_partition

# Phases. slotboot.py has the same numbers.
CONFIRMED = const(0)
TRIAL = const(1)
SAFE = const(2)
# What may follow: install(); then confirm(), or MAX_TRIES starts without (slotboot.py).
NEXT_STATES = ((TRIAL, SAFE), (CONFIRMED, SAFE), (TRIAL,))

MAX_RECORD_BYTES = const(1500)
MAX_TRIES = const(3)
_MAX_WHY = const(80)

FILE = "slot"
PARTITION = "partition"
_DOWNLOAD = "/slots/download"
_KEYS = "/slots/keys"
_NEW_KEYS = "/slot/update.keys"  # a bundle may bring the next ones
_SLOTS = "/slots"
_BLOCK_BYTES = const(4096)
_SPARE_BYTES = const(16384)  # what the file system itself and the journals may need meanwhile
_SIZE = const(3)  # in Partition.info()
_LABEL = const(4)


class Slots:
    """`chip`: port/updates.py; `journal`: "slots" of the state folder. The public keys that may
    sign are the file /slots/keys (image.load_keys); with `unsigned`, an image without signature is
    taken too.

    Raises UpdateError when this firmware has no place for an update, and says what to flash.
    """

    def __init__(self, chip, journal, product, unsigned=False):
        self._chip = chip
        self._tree = chip.tree
        self._journal = journal
        self._product = product
        self._unsigned = unsigned
        self._partition = chip.spare_partition()
        self._has_slots = bool({"a", "b", "base"} & set(self._tree.names(_SLOTS)))
        if not self._has_slots and self._partition is None:
            raise UpdateError(
                "this firmware has room for one application only; flash one with two"
                " (make flash), which makes slots and keeps the configuration"
            )
        record = journal.load()
        self._state = json.loads(record) if record else {}
        self._application = None
        self._see_partition()
        if self._has_slots and self._slot and self._state.get("watched") != self._slot:
            # From now on each start after a reset is counted, and someone is here to confirm it.
            self._state["watched"] = self._slot
            self._save()

    # What net/ota.py calls

    def admit(self, trailer, head, size):
        """The name of the target for an update of `size` bytes, whose image begins with `head`.
        Raises UpdateError, before anything is written."""
        if self.on_trial:
            raise UpdateError("the running version has not proved itself yet")
        kind = trailer.kind if trailer else image.kind_of(head)
        rooms = self._rooms()
        if trailer:
            self._check(trailer, size)
            chip = None
            if kind == image.ESP32_APPLICATION:
                chip = chip_of_partition(self._chip.running_partition())
            image.check_head(trailer, head, chip)
            if kind == image.BUNDLE:
                self._check_unpacked(trailer)
        elif size > rooms.get(kind, 0):
            raise UpdateError("%d bytes, room for %d" % (size, rooms.get(kind, 0)))
        return FILE if kind == image.BUNDLE else PARTITION

    def target(self, name):
        """Where the image is written."""
        if name == FILE:
            return FileTarget(self._tree, _DOWNLOAD)
        if self._partition is None:
            raise UpdateError("there is no second partition")
        return PartitionTarget(self._partition)

    def install(self, trailer):
        """Makes a verified image what starts next, on trial. A generator that pauses now and then;
        after a power cut it is to be begun again. Raises UpdateError, StorageError: what runs then
        still starts."""
        # Again: after a reset the trailer may be one that was kept on the flash.
        self._check(trailer, None)
        self._state["outcome"] = None
        if trailer.kind == image.BUNDLE:
            for _ in self._unpack(trailer):
                yield
        else:
            label = self._partition.info()[_LABEL]
            partition = [label, 0, trailer.version, trailer.sequence]
            self._state["partition"] = partition
            self._state["why"] = ""
            self._save()
            self._partition.set_boot()
            partition[1] = 1
            self._save()

    @property
    def rolled_back(self):
        """Why the version installed last was given up again; None when it was not."""
        outcome = self._state.get("outcome")
        return outcome[1] if outcome and outcome[1] else None

    # What update/confirm.py calls

    @property
    def on_trial(self):
        return bool(self._state.get("partition")) or self._phase == TRIAL

    @property
    def version(self):
        """What runs, as its trailer said; "" when it came with provisioning."""
        state = self._state
        newest = state.get("partition")
        if not newest:
            newest = state.get(self._slot)
            application = self._application
            if application and (not newest or application[-1] > newest[-1]):
                newest = application
        return newest[-2] if newest else ""

    @property
    def tries(self):
        """Starts since the last confirmation."""
        return self._state.get("tries", 0)

    @property
    def causes(self):
        """Why the chip was reset before the last counted starts (machine.reset_cause()), oldest
        first; kept until the next update."""
        return self._state.get("causes") or []

    def confirm(self):
        """What runs is good: it stays, and nothing older than it is taken any more."""
        state = self._state
        was_on_trial = self.on_trial
        if not was_on_trial and not self.tries:
            return
        partition = state.get("partition")
        if partition:
            # First: if the power goes in between, it is confirmed again.
            self._chip.mark_valid()
            _, _, version, sequence = partition
            state["outcome"] = [version, ""]
            state["application"] = self._application = partition
            state["partition"] = None
        else:
            version, sequence = state.get(self._slot) or ("", 0)
            if self._phase == TRIAL:
                self._adopt_keys()
                state["outcome"] = [version, ""]
                state["phase"] = CONFIRMED
                state["good"] = state.get("good", "").replace(self._slot, "") + self._slot
        state["floor"] = max(state.get("floor", 0), sequence)
        state["tries"] = 0
        state["why"] = ""
        self._save()
        if was_on_trial:  # else it may be one that a reset broke off, and that is resumed
            self._tree.remove(_DOWNLOAD)

    def give_up(self, why):
        """What runs is not good: the next start is of the version before."""
        self._state["why"] = why[:_MAX_WHY]
        if self._phase == TRIAL:
            self._state["tries"] = MAX_TRIES
        self._save()

    # Below

    @property
    def _phase(self):
        return self._state.get("phase", CONFIRMED)

    @property
    def _slot(self):
        """What runs; "" is base."""
        return self._state.get("slot", "a")

    @property
    def _spare_slot(self):
        return "b" if self._slot == "a" else "a"

    def _save(self):
        self._journal.save(json.dumps(self._state).encode())

    def _see_partition(self):
        """Whether the application on trial runs, was given up by the bootloader, or never became
        what starts, as the power failed before."""
        state = self._state
        partition = state.get("partition")
        application = state.get("application")
        if not partition and not application:
            return
        running = self._chip.running_partition().info()[_LABEL]
        if application and application[0] == running:
            self._application = application
        if partition:
            label, is_switched, version, _ = partition
            if label == running:
                if is_switched:
                    return
                partition[1] = 1
            else:
                if is_switched:
                    why = state.get("why") or "it was restarted before it proved itself"
                    state["outcome"] = [version, why]
                state["partition"] = None
            self._save()

    def _check(self, trailer, size):
        image.check(
            trailer,
            self._product,
            self._chip.BOARD,
            self._rooms(),
            self._state.get("floor", 0),
            size,
            self._chip.BYTECODE,
            self._keys(),
            self._unsigned,
        )

    def _keys(self):
        if self._tree.size(_KEYS) < 0:
            return ()
        with self._tree.open(_KEYS, "rb") as file:
            return image.load_keys(file.read())

    def _adopt_keys(self):
        """Those that came with the new version sign the next one."""
        tree = self._tree
        try:
            with tree.open(_NEW_KEYS, "rb") as file:
                keys = file.read()
        except OSError:
            return
        image.load_keys(keys)
        with tree.open(_KEYS + ".new", "wb") as file:
            file.write(keys)
        tree.rename(_KEYS + ".new", _KEYS)

    def _rooms(self):
        """{kind: bytes of a file there is room for}."""
        rooms = {}
        if self._has_slots:
            room = self._tree.free_bytes() + max(self._tree.size(_DOWNLOAD), 0) - _SPARE_BYTES
            rooms[image.BUNDLE] = room
        if self._partition is not None:
            rooms[image.ESP32_APPLICATION] = self._partition.info()[_SIZE] + image.TRAILER_BYTES
        return rooms

    def _check_unpacked(self, trailer):
        """Room for the slot beside the download, once the old slot is gone."""
        room = self._rooms()[image.BUNDLE] - _in_blocks(trailer.size)
        room += _in_blocks(max(self._tree.size("/slots/" + self._spare_slot), 0))
        if _in_blocks(trailer.unpacked) > room:
            raise UpdateError("unpacks to %d bytes, room for %d" % (trailer.unpacked, room))

    def _unpack(self, trailer):
        state = self._state
        slot = self._spare_slot
        path = "/slots/" + slot
        # Before it is touched: a cut may leave anything there.
        state["good"] = state.get("good", "a").replace(slot, "")
        state[slot] = None
        self._save()
        tree = self._tree
        tree.remove(path)
        try:
            with tree.open(_DOWNLOAD, "rb") as source, tree.open(path, "wb") as target:
                for _ in bundle.unpack(source, self._chip.inflate, target, trailer.unpacked):
                    yield
            with tree.open(path, "rb") as file:
                for _ in bundle.verify(file, tree.size(path)):
                    yield
        except UpdateError:
            tree.remove(path)
            raise
        except OSError as e:
            if isinstance(e, StorageError):
                raise
            raise StorageError("cannot unpack the update", None, e.errno)
        state["slot"] = slot
        state["phase"] = TRIAL
        state["tries"] = 0
        state["why"] = ""
        state["causes"] = []
        state[slot] = [trailer.version, trailer.sequence]
        self._save()


def _in_blocks(size_bytes):
    return (size_bytes + _BLOCK_BYTES - 1) // _BLOCK_BYTES * _BLOCK_BYTES
