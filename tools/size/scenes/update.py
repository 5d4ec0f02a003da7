# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""An update over plain HTTP, from the hub's message until the other slot is written."""

import asyncio

import uarts
from iothub import Device
from iothub.net.updates import Updates
from peak import Peak

_GARBAGE_BYTES = 512
_TIMEOUT_S = 100


def run(*ports):
    uarts.use(*ports)
    return asyncio.run(asyncio.wait_for(_update(), _TIMEOUT_S))


async def _update():
    device = Device.from_file("/device.json")
    running = asyncio.create_task(device.run())
    await device.online(None)
    updates = Updates(device, "1.0")
    while not (device.clock.known and device.ota.is_connected):  # all that a connection brings
        await asyncio.sleep_ms(100)
    installed = asyncio.Event()

    @device.ota.on_installed
    def is_installed(_version):
        installed.set()

    with Peak(_GARBAGE_BYTES) as peak:
        device.on("ready")(print)  # the hub waits for that
        await installed.wait()
    del updates
    await device.stop()
    await running
    return [("update: download, verify, write, install", peak)]
