"""Updates with one fault each, which the power cuts must find: without them nobody knows that they
could. "real" is the thing itself."""

from iothub.update import image
from iothub.update.partition import PartitionTarget
from iothub.update.slots import PARTITION, Slots


class UnpacksOverTheRunning(Slots):
    """Into the slot that runs."""

    @property
    def _spare_slot(self):
        return self._slot


class RemovesTheOldFirst(Slots):
    """Makes room by removing what runs."""

    def install(self, trailer):
        self._tree.remove("/slots/" + self._slot)
        yield from Slots.install(self, trailer)


class NeverErases(Slots):
    """Writes over what an older version left in the partition."""

    class _Unerased:
        def __init__(self, partition):
            self.readblocks = partition.readblocks
            self.writeblocks = partition.writeblocks

        def ioctl(self, operation, block):
            return 0

    def target(self, name):
        if name == PARTITION:
            return PartitionTarget(NeverErases._Unerased(self._partition))
        return Slots.target(self, name)


class BootsBeforeItIsWritten(Slots):
    """Switches to the partition when the download begins."""

    def target(self, name):
        if name == PARTITION:
            self._partition.set_boot()
        return Slots.target(self, name)


class SwitchesUnnoted(Slots):
    """Switches to the partition without a record of it, so that nobody confirms it."""

    def install(self, trailer):
        if trailer.kind == image.ESP32_APPLICATION:
            self._partition.set_boot()
        else:
            yield from Slots.install(self, trailer)


class ForgetsTries(Slots):
    """Takes its own start for a proof that the version works."""

    def __init__(self, *arguments):
        Slots.__init__(self, *arguments)
        if self.tries:
            self._state["tries"] = 0
            self._save()


class ConfirmsOnSight(Slots):
    """Confirms what has proved nothing yet."""

    def __init__(self, *arguments):
        Slots.__init__(self, *arguments)
        self.confirm()


class ForgetsTheFloor(Slots):
    """Confirms a version, and would take an older one after it."""

    def confirm(self):
        floor = self._state.get("floor", 0)
        Slots.confirm(self)
        self._state["floor"] = floor
        self._save()


SUBJECTS = {"real": Slots}
for _subject in (
    UnpacksOverTheRunning,
    RemovesTheOldFirst,
    NeverErases,
    BootsBeforeItIsWritten,
    SwitchesUnnoted,
    ForgetsTries,
    ConfirmsOnSight,
    ForgetsTheFloor,
):
    SUBJECTS[_subject.__name__] = _subject
