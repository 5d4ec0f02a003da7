"""Updates of the device itself, from the cloud's message to the confirmed version.

    updates = Updates(device, "1.0", check)     # in a coroutine; then await device.run()

`check()` is the application's own: plain or async, it raises, or returns False, when the new
version does not work. Without one, being logged in is proof enough.
"""

import asyncio

from iothub.loading import for_now
from iothub.net.watch import Watch
from iothub.store.journal import Journal
from iothub.timeouts import STABLE_START_MS, UPDATE_RESTART_MS
from iothub.update.slots import MAX_RECORD_BYTES, Slots


class Updates:
    """`version` (str) is what runs as long as no update was installed; `slots` (update/slots.py)
    knows what runs since. `watch` is where tasks register (net/watch.py). Raises UpdateError when
    this firmware has no place for an update."""

    def __init__(self, device, version, check=None):
        chip = device.chip.for_updates()
        journal = Journal(device.storage, "slots", MAX_RECORD_BYTES)
        unsigned = bool(device.config["update"].get("accept_unsigned_images"))
        self.slots = slots = Slots(chip, journal, device.identity.product_id, unsigned)
        self.watch = Watch(chip, self._hangs)
        self._chip = chip
        ota = device.ota
        spawn = device.services.spawn
        if slots.on_trial:
            judge = for_now("iothub.net.trial").Judge(device, slots, check)
            spawn(self._end_of_trial(judge, ota))
        elif slots.tries:
            spawn(self._forget_starts())
        spawn(self.watch.run())
        ota.start(slots.version or version, slots)
        ota.on_installed(self._restart)
        if not slots.on_trial and slots.rolled_back is None:
            # The power may have failed between confirm() and the cloud's knowing.
            spawn(ota.settle())

    async def _end_of_trial(self, judge, ota):
        if await judge.verdict():
            await ota.settle()
        else:
            await self._restart("")

    async def _forget_starts(self):
        """A version that was good before needs no login: an outage is none of its faults."""
        await asyncio.sleep_ms(STABLE_START_MS)
        self.slots.confirm()

    async def _restart(self, version):
        """What was installed, or was there before, starts."""
        await asyncio.sleep_ms(UPDATE_RESTART_MS)
        # Without stop(): run() would return, and the application end before the chip is reset.
        self._chip.reset()

    def _hangs(self, name):
        if self.slots.on_trial:
            self.slots.give_up("the task %s made no progress" % name)
