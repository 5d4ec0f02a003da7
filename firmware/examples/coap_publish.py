"""Publishes over CoAP: a few datagrams instead of a session, over DTLS unless the configuration's
"coap" says otherwise."""

import asyncio

from iothub import Device, IoTHubError

device = Device.from_file("device.json")


async def main():
    for celsius in (21.5, 21.6):
        await device.coap.publish("event", '{"celsius": %s}' % celsius)
        print("published", celsius)
    device.coap.close()


try:
    asyncio.run(main())
except IoTHubError as error:
    print(error)
