"""A whole Device, as an application has it: `way_program.py CONFIG FOLDER`. FOLDER is its flash.

It publishes what it hears on `control` to `event`, until the test says stop.
"""

import asyncio
import os
import sys

from iothub import Device
from iothub.errors import IoTHubError
from iothub.net import session
from told import error_fields, say


def on_event(what, detail):
    if what == session.OFFLINE:
        say("offline", hint=detail.hint, **error_fields(detail))


async def main(path):
    try:
        device = Device.from_file(path, on_event)
    except IoTHubError as e:
        say("refused", **error_fields(e))
        return

    @device.on_command
    async def command(topic, payload):
        await device.publish("event", payload)
        say("echoed")

    running = asyncio.create_task(device.run())
    stop = asyncio.create_task(asyncio.StreamReader(sys.stdin.buffer).readline())
    await device.online()
    say("online", transport=device.transport)
    await stop
    await device.stop()
    await running
    say("stopped", acknowledged=device.acknowledged)


os.chdir(sys.argv[2])
asyncio.run(main(sys.argv[1]))
