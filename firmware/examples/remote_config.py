"""Follows the product's remote configuration: fetched at each connection, and when the cloud
pushes it."""

import asyncio

from iothub import Device, IoTHubError

device = Device.from_file("device.json")


@device.remote_config.on_change
def changed(config):
    print("configuration:", config)


async def main():
    running = asyncio.create_task(device.run())
    try:
        print("asked for:", await device.remote_config.get())
    except IoTHubError as error:
        print(error)
    await running


asyncio.run(main())
