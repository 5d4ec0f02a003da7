"""A gateway with one sub-device, whose names and secret are in device.json, e.g.
"app": {"product_id": ..., "device_name": ..., "device_secret": ...}."""

import asyncio

from iothub import Device, IoTHubError

device = Device.from_file("device.json")
names = device.settings
meter = device.gateway.sub_device(names["product_id"], names["device_name"])


@meter.on("control")
async def command(topic, payload):
    print("for the meter:", payload.decode())


@device.gateway.on_change
def changed(bound, identities):
    print("bound" if bound else "unbound", identities)


async def main():
    running = asyncio.create_task(device.run())
    try:
        await device.gateway.bind(meter, names["device_secret"])
        await device.gateway.online(meter)
        print("online:", meter, "of", await device.gateway.describe())
        await meter.publish("event", '{"kWh": 1234.5}')
        print("published")
    except IoTHubError as error:
        print(error)
    await running


asyncio.run(main())
