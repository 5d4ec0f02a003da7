"""Hears what is sent to all devices of its product that are online."""

import asyncio

from iothub import Device

device = Device.from_file("device.json")


@device.broadcast
def heard(payload):
    print("broadcast:", payload.decode())


asyncio.run(device.run())
