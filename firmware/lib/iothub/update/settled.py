"""How a trial ends, on flash: what runs is confirmed, or an ESP32's bootloader went back. Loaded
for that and let go of (iothub.loading), so these are functions of a slots.Slots."""

from iothub.compat import const
from iothub.loading import for_now
from iothub.update.slots import CONFIRMED, DOWNLOAD, KEYS, TRIAL

_NEW_KEYS = "/slot/update.keys"  # a bundle may bring the next ones
_LABEL = const(4)  # in Partition.info()


def confirm(slots):
    """See Slots; there is something to confirm."""
    state = slots._state
    was_on_trial = slots.on_trial
    partition = state.get("partition")
    if partition:
        # First: if the power goes in between, it is confirmed again.
        slots._chip.mark_valid()
        _, _, version, sequence = partition
        state["outcome"] = [version, ""]
        state["application"] = slots._application = partition
        state["partition"] = None
    else:
        slot = slots._slot
        version, sequence = state.get(slot) or ("", 0)
        if slots._phase == TRIAL:
            _adopt_keys(slots._tree)
            state["outcome"] = [version, ""]
            state["phase"] = CONFIRMED
            state["good"] = state.get("good", "").replace(slot, "") + slot
    state["floor"] = max(state.get("floor", 0), sequence)
    state["tries"] = 0
    state["why"] = ""
    slots._save()
    if was_on_trial:  # else it may be one that a reset broke off, and that is resumed
        slots._tree.remove(DOWNLOAD)


def _adopt_keys(tree):
    """Those that came with the new version sign the next one."""
    try:
        with tree.open(_NEW_KEYS, "rb") as file:
            keys = file.read()
    except OSError:
        return
    for_now("iothub.update.image").load_keys(keys)
    with tree.open(KEYS + ".new", "wb") as file:
        file.write(keys)
    tree.rename(KEYS + ".new", KEYS)


def see_partition(slots):
    """Whether the application on trial runs, was given up by the bootloader, or never became what
    starts, as the power failed before."""
    state = slots._state
    partition = state.get("partition")
    application = state.get("application")
    running = slots._chip.running_partition().info()[_LABEL]
    if application and application[0] == running:
        slots._application = application
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
        slots._save()
