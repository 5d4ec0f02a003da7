"""Updates of the device itself, from the cloud's message to the confirmed version.

    updates = Updates(device, "1.0", check)     # in a coroutine; then await device.run()

`check()` is the application's own: plain or async, it raises, or returns False, when the new
version does not work. Without one, being logged in is proof enough.
"""

import asyncio
from time import ticks_diff, ticks_ms

from iothub.mqtt.engine import ONLINE_AGAIN
from iothub.net.session import OFFLINE
from iothub.net.watch import Watch
from iothub.store.journal import Journal
from iothub.timeouts import STABLE_START_MS, TICK_MS, TRIAL_CHECK_MS, UPDATE_RESTART_MS
from iothub.update.confirm import Trial
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
        self._device = device
        self._chip = chip
        self._check = check
        self._trial = None
        spawn = device.services.spawn
        if slots.on_trial:
            self._trial = Trial(slots, ticks_diff, ticks_ms())
            device.listeners.append(self._heard)
            spawn(self._decide())
        elif slots.tries:
            spawn(self._forget_starts())
        spawn(self.watch.run())
        device.ota.start(slots.version or version, slots)
        device.ota.on_installed(self._restart)
        if not slots.on_trial and slots.rolled_back is None:
            # The power may have failed between confirm() and the cloud's knowing.
            spawn(device.ota.settle())

    def _heard(self, what, detail):
        if what == OFFLINE and detail is not None:
            self._trial.failed(detail)
        elif what == ONLINE_AGAIN and self._trial.online(ticks_ms()):
            self._device.services.spawn(self._ask())

    async def _ask(self):
        """The application's check, once."""
        try:
            good = self._check() if self._check else True
            if hasattr(good, "send"):
                good = await asyncio.wait_for_ms(good, TRIAL_CHECK_MS)
        except asyncio.TimeoutError:
            self._trial.refused("the application's check took too long")
        except Exception as e:
            self._trial.refused("the application's check: %s %s" % (type(e).__name__, e))
        else:
            if good is False:
                self._trial.refused("the application's check failed")
            else:
                self._trial.checked()

    async def _decide(self):
        """Until the trial is over, one way or the other."""
        trial = self._trial
        while self.slots.on_trial:
            trial.advance(ticks_ms())
            if trial.failure:
                await self._restart("")
            await asyncio.sleep_ms(TICK_MS)
        self._device.listeners.remove(self._heard)
        await self._device.ota.settle()

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
