# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""An update over plain HTTP, from the hub's message until the other slot is written."""

import asyncio

import link
from iothub import Device
from iothub.net.updates import Updates
from peak import Peak, heap_in_use

_GARBAGE_BYTES = 512
_TIMEOUT_S = 100


def run(*ports):
    link.UartSocket.keeps_buffers = True
    link.use(*ports)
    device = Device.from_file("/device.json")
    heap_in_use()  # else the stack below what follows would keep what was loaded for this
    return asyncio.run(asyncio.wait_for(_update(device), _TIMEOUT_S))


async def _update(device):
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
        await device.publish("event", "ready", 0)  # the hub waits for that
        await installed.wait()
    del updates
    await device.stop()
    await running
    return [("update: download, verify, write, install", peak)]
