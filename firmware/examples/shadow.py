"""A lamp of which the cloud sets the brightness, through the device shadow: what an application
wishes arrives also when the device was offline, and the cloud knows what was really set."""

import asyncio

from iothub import Device, IoTHubError

device = Device.from_file("device.json")
lamp = {"brightness": 20}


@device.shadow.on("brightness")
async def set_brightness(percent):
    lamp["brightness"] = max(0, min(100, percent))
    print("brightness", lamp["brightness"])
    return lamp["brightness"]  # reported, and the wish is cleared


@device.shadow.on_delta
def set_others(desired):
    print("unknown to this lamp:", desired)
    return {}  # nothing of it was applied; the wish is cleared all the same


async def main():
    running = asyncio.create_task(device.run())
    try:
        await device.shadow.report(lamp)
        print("reported", device.shadow.reported, "version", device.shadow.version)
    except IoTHubError as error:
        print(error)
    await running


asyncio.run(main())
