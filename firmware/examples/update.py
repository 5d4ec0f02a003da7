"""Takes signed updates: a new version runs on trial, and stays when it has logged in and passed
its own check; otherwise the one before comes back. Needs a board with slots: make deploy."""

import asyncio
import json

from iothub import Device
from iothub.net.updates import Updates

VERSION = "1.0"  # until an update brings its own


def read_celsius():
    return 21.5


def check():
    return -40 < read_celsius() < 85


async def main():
    device = Device.from_file("device.json")
    updates = Updates(device, VERSION, check)
    print("version", updates.slots.version or VERSION)
    if updates.slots.rolled_back:
        print("given up:", updates.slots.rolled_back)
    progress = updates.watch.task("readings", 60000)
    connection = asyncio.create_task(device.run())
    while not connection.done():
        progress.alive()
        # What raises here ends the program: a start that failed.
        await device.publish("event", json.dumps({"celsius": read_celsius()}), 1, False)
        await asyncio.sleep(2)


asyncio.run(main())
