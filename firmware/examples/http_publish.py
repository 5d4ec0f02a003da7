"""Publishes over HTTP, without an MQTT session: for a device that wakes up, tells and sleeps
again. The configuration's "http" says where the gateway is."""

import asyncio

from iothub import Device, IoTHubError

device = Device.from_file("device.json")


async def main():
    print("request", await device.http.publish("event", '{"celsius": 21.5}', 1))
    print("request", await device.http.publish("event", b"\x15\x05"))  # bytes go as base64
    device.http.close()


try:
    asyncio.run(main())
except IoTHubError as error:
    print(error)
