"""Updates and the watchdog, on a board with slots (docs/update.md)."""

import sys

from app.console import say

VERSION = "1.0"  # until an update brings its own
# No reading for so long is a hang: the longest interval, and some.
_LIMIT_MS = 3660000


def begin(device):
    """From now on updates are taken. Returns what the application calls with each reading."""
    if "slotboot" not in sys.modules:  # the desk, or a board without slots
        return lambda: None
    from iothub.net.updates import Updates

    updates = Updates(device, VERSION)
    slots = updates.slots
    say("version " + (slots.version or VERSION) + (", on trial" if slots.on_trial else ""))
    if slots.rolled_back:
        say("the update was given up: " + slots.rolled_back)
    return updates.watch.task("thermostat", _LIMIT_MS).alive
