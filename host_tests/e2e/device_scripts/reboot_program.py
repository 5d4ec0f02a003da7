"""A device that may be killed at any moment: `reboot_program.py CONFIG FOLDER RUN [FILTER...]`.

FOLDER is its flash. It publishes RUN-0, RUN-1, ... to "event" without waiting, and tells of each
that it was told is safe; the test orders how many, one line for each order. FILTERs are further
topics it listens to.
"""

import asyncio
import os
import sys
from time import ticks_ms

from iothub import timeouts
from told import error_fields, say

# An outage of a test is short; the device must not wait longer than that.
timeouts.BACKOFF_FIRST_MS = 20
timeouts.BACKOFF_LAST_MS = 200

from iothub import Device  # noqa: E402
from iothub.errors import QueueFull  # noqa: E402
from iothub.mqtt import engine  # noqa: E402
from iothub.net import session as net_session  # noqa: E402

_PAUSE_MS = 2


class Program:
    def __init__(self, config, run, *filters):
        self._run = run
        self._published = 0
        self._device = Device.from_file(config, self._on_event)
        self._device.on_command(self._on_message)
        for name in filters:
            self._device.on(name)(self._on_message)

    async def live(self):
        say("started", kept=self._device.session.engine.queue.unsettled)
        task = asyncio.create_task(self._device.run())
        orders = asyncio.StreamReader(sys.stdin.buffer)
        while True:
            line = await orders.readline()
            if not line:
                break
            name, *rest = line.decode().split()
            await getattr(self, name)(*rest)
        await self._device.stop()
        await task

    # What the test may order

    async def publish(self, count):
        """So many messages."""
        for _ in range(int(count)):
            text = f"{self._run}-{self._published}"
            self._published += 1
            try:
                await self._device.publish("event", text, wait=False)
                say("safe", text=text)
            except QueueFull:
                say("refused", text=text)
            await asyncio.sleep_ms(_PAUSE_MS)

    async def flush(self):
        """Waits until the server has everything."""
        try:
            await self._device.session.flush(10000)
            say("flushed")
        except OSError as e:
            say("not_flushed", **error_fields(e))

    async def listen(self, name):
        """To one more topic, without a word to the server if there is no connection."""
        self._device.on(name)(self._on_message)
        say("listening")

    async def ignore(self, name):
        """Not to that topic any more."""
        await self._device.session.unsubscribe(self._device.topic(name))
        say("ignoring")

    # What happens

    def _on_message(self, topic, payload):
        say("message", topic=topic, text=payload, at_ms=ticks_ms())

    def _on_event(self, what, detail):
        if what == engine.ONLINE_AGAIN:
            say("online", present=detail)
        elif what == net_session.OFFLINE:
            say("offline", **error_fields(detail))
        elif what == engine.SESSION_LOST:
            say("session_lost")
        elif what == engine.FILTER_GRANTED:
            say("granted", topic=detail.pattern)
        elif what == net_session.UNHANDLED:
            say("unhandled", topic=detail)


def main(config, folder, *arguments):
    os.chdir(folder)
    asyncio.run(Program(config, *arguments).live())


main(*sys.argv[1:])
