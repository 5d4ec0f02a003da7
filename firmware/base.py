"""Safe mode, the main program of /slots/base: identity, MQTT and update, nothing else. It runs
when no slot is good, until an update brings one."""

import asyncio

from iothub import Device, IoTHubError
from iothub.net.updates import Updates

_VERSION = "safe"  # what the cloud is told that runs; every version it has is newer


async def _run():
    device = Device.from_file("device.json")
    Updates(device, _VERSION)
    await device.run()


try:
    asyncio.run(_run())
except IoTHubError as error:
    print("safe mode:", error)
