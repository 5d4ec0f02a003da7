"""Answers calls from the cloud, each under its own process id, several at once. The cloud waits
10 s at most."""

import asyncio
import json

from iothub import Device

device = Device.from_file("device.json")


@device.rrpc
async def call(payload):
    request = json.loads(payload)
    await asyncio.sleep_ms(request.get("takes_ms", 0))
    print("called:", request["method"])
    return json.dumps({"result": "done " + request["method"]})


asyncio.run(device.run())
