"""Writes to the device's log in the cloud. The console sets the level; an exception that ends the
program is uploaded after the restart."""

import asyncio

from iothub import Device, IoTHubError

device = Device.from_file("device.json")
log = device.log


async def main():
    running = asyncio.create_task(device.run())
    await device.online()
    await asyncio.sleep(1)  # the cloud's answer: which level it wants
    log.info("level is %d", log.level)
    log.debug("%d bytes free", 1000)  # formatted only when debug lines are wanted
    try:
        int("not a number")
    except ValueError as error:
        log.exception(error)
    await log.flush()
    print("log uploaded,", log.dropped, "lines dropped")
    await device.stop()
    await running


try:
    asyncio.run(log.guard(main()))
except IoTHubError as error:
    print(error)
