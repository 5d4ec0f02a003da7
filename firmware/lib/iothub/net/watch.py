"""The watchdog, fed only while all tasks make progress: what hangs is reset.

watch = Watch(port.for_updates())
task = watch.task("sensor", 60000)      # does not hang for a minute
while True:
    task.alive()
    await measure()
"""

import asyncio
from time import ticks_diff, ticks_ms

from iothub.timeouts import TICK_MS, WATCH_LOOP_MS


class Watch:
    """Of `chip` (port/updates.py). `on_hang(name)` is told, a last time, which task made no
    progress."""

    def __init__(self, chip, on_hang=None):
        self._chip = chip
        self._on_hang = on_hang
        self._tasks = []

    def task(self, name, limit_ms):
        """A Task whose alive() is to be called at least every `limit_ms`."""
        task = Task(name, limit_ms)
        self._tasks.append(task)
        return task

    def forget(self, task):
        """It ended, and is not watched any more."""
        self._tasks.remove(task)

    async def run(self):
        """Starts the watchdog and feeds it, until a task hangs: then returns, and the chip is
        reset."""
        alive = self._chip.watch(WATCH_LOOP_MS)
        while True:
            now_ms = ticks_ms()
            for task in self._tasks:
                if ticks_diff(now_ms, task.alive_ms) > task.limit_ms:
                    if self._on_hang:
                        self._on_hang(task.name)
                    return
            alive()
            await asyncio.sleep_ms(TICK_MS)


class Task:
    def __init__(self, name, limit_ms):
        self.name = name
        self.limit_ms = limit_ms
        self.alive()

    def alive(self):
        self.alive_ms = ticks_ms()
