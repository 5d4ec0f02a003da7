"""What of an update is known at each start: a device's half of the states that slotboot.py starts
from, and a `place` as net/ota.py describes it.

    slots = Slots(port.for_updates(), Journal(storage, "slots", MAX_RECORD_BYTES), product_id)
    device.ota.start(slots.version or "1.0", slots)

A bundle goes into the slot that does not run; an ESP32 application into the partition that does
not run. Either is journalled before it counts, runs on trial, and is given up unless confirm() is
called in time (update/confirm.py). Pure, over the chip's half (port/updates.py). What is done
once an update, admission.py, install.py and settled.py, is loaded for it (iothub.loading).
"""

import json

from iothub.compat import const
from iothub.errors import UpdateError
from iothub.loading import for_now

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
DOWNLOAD = "/slots/download"
KEYS = "/slots/keys"
_SLOTS = "/slots"


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
        self._state = state = json.loads(record) if record else {}
        self._application = None
        if state.get("partition") or state.get("application"):
            for_now("iothub.update.settled").see_partition(self)
        if self._has_slots and self._slot and state.get("watched") != self._slot:
            # From now on each start after a reset is counted, and someone is here to confirm it.
            state["watched"] = self._slot
            self._save()

    # What an update asks (net/ota.py)

    def admit(self, trailer, head, size):
        """The name of the target for an update of `size` bytes, whose image begins with `head`.
        Raises UpdateError, before anything is written."""
        return for_now("iothub.update.admission").admit(self, trailer, head, size)

    def target(self, name):
        """Where the image is written."""
        if name == FILE:
            return for_now("iothub.update.download_file").FileTarget(self._tree, DOWNLOAD)
        if self._partition is None:
            raise UpdateError("there is no second partition")
        return for_now("iothub.update.partition").PartitionTarget(self._partition)

    def install(self, trailer):
        """Makes a verified image what starts next, on trial. A generator that pauses now and then;
        after a power cut it is to be begun again. Raises UpdateError, StorageError: what runs then
        still starts."""
        return for_now("iothub.update.install").install(self, trailer)

    @property
    def rolled_back(self):
        """Why the version installed last was given up again; None when it was not."""
        outcome = self._state.get("outcome")
        return outcome[1] if outcome and outcome[1] else None

    # What the version that runs asks (update/confirm.py)

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
        """What runs is good: it stays, and nothing older than it is taken any more. Raises
        StorageError."""
        if self.on_trial or self.tries:
            for_now("iothub.update.settled").confirm(self)

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
