"""A version on trial: what the session tells is judged by update/confirm.py. Loaded by
net/updates.py when there is one, for as long as that takes (iothub.loading)."""

import asyncio
from time import ticks_diff, ticks_ms

from iothub.errors import IoTHubError
from iothub.loading import let_go
from iothub.mqtt.engine import ONLINE_AGAIN
from iothub.net.session import OFFLINE
from iothub.timeouts import TICK_MS, TRIAL_CHECK_MS
from iothub.update.confirm import Trial

let_go("iothub.update.confirm")


class Judge:
    """Of what runs on `device`. `slots`: update.slots.Slots; `check` is the application's, or
    None."""

    def __init__(self, device, slots, check):
        self._device = device
        self._slots = slots
        self._check = check
        self._trial = Trial(slots, ticks_diff, ticks_ms())
        device.listeners.append(self._heard)

    async def verdict(self):
        """Whether it is good, once that is known. It is confirmed then, or given up."""
        trial = self._trial
        while self._slots.on_trial:
            trial.advance(ticks_ms())
            if trial.failure:
                return False
            await asyncio.sleep_ms(TICK_MS)
        self._device.listeners.remove(self._heard)
        return True

    def _heard(self, what, detail):
        if what == OFFLINE and detail is not None:
            self._trial.failed(detail)
        elif what == ONLINE_AGAIN and self._trial.online(ticks_ms()):
            self._device.services.spawn(self._ask())

    async def _ask(self):
        """The application's check, once."""
        trial = self._trial
        try:
            good = self._check() if self._check else True
            if hasattr(good, "send"):
                good = await asyncio.wait_for_ms(good, TRIAL_CHECK_MS)
        except asyncio.TimeoutError:
            trial.refused("the application's check took too long")
        except Exception as e:
            trial.refused("the application's check: %s %s" % (type(e).__name__, e))
        else:
            if good is False:
                trial.refused("the application's check failed")
            else:
                await self._confirm()

    async def _confirm(self):
        """A flash that is full, or a heap, is no fault of the version as long as there is time."""
        while not self._trial.failure:
            try:
                self._trial.checked()
                return
            except (IoTHubError, MemoryError) as e:
                self._device.services.report(e)
                await asyncio.sleep_ms(TICK_MS)
