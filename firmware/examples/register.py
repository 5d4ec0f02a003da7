"""Registers a device that came with its product's secret only: device.json has product_secret
instead of device_secret. Device.from_file does it, once, and puts what it was given in its
place."""

import asyncio

from iothub import Device, IoTHubError


async def main(device):
    running = asyncio.create_task(device.run())
    await device.online()
    await device.publish("event", '{"registered": true}')
    print("online as", device.identity)
    await device.stop()
    await running


try:
    asyncio.run(main(Device.from_file("device.json")))
except IoTHubError as error:
    print(error)
