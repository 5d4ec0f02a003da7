"""Makes a verified image what a device starts next. Loaded for that and let go of
(iothub.loading), so these are functions of a slots.Slots."""

from iothub.compat import const
from iothub.errors import StorageError, UpdateError
from iothub.loading import for_now
from iothub.update.image import BUNDLE
from iothub.update.slots import DOWNLOAD, TRIAL

_LABEL = const(4)  # in Partition.info()


def install(slots, trailer):
    """See Slots."""
    # Again: after a reset the trailer may be one that was kept on the flash.
    for_now("iothub.update.admission").check(slots, trailer, None)
    state = slots._state
    state["outcome"] = None
    if trailer.kind == BUNDLE:
        for _ in _unpack(slots, trailer):
            yield
        return
    label = slots._partition.info()[_LABEL]
    partition = [label, 0, trailer.version, trailer.sequence]
    state["partition"] = partition
    state["why"] = ""
    slots._save()
    slots._partition.set_boot()
    partition[1] = 1
    slots._save()


def _unpack(slots, trailer):
    state = slots._state
    slot = slots._spare_slot
    path = "/slots/" + slot
    bundle = for_now("iothub.update.bundle")
    # Before it is touched: a cut may leave anything there.
    state["good"] = state.get("good", "a").replace(slot, "")
    state[slot] = None
    slots._save()
    tree = slots._tree
    tree.remove(path)
    try:
        with tree.open(DOWNLOAD, "rb") as source, tree.open(path, "wb") as target:
            for _ in bundle.unpack(source, slots._chip.inflate, target, trailer.unpacked):
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
    slots._save()
