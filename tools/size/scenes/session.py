# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""A device connects over plain TCP and uses the connection. The hub has a desired value for it,
and sends a message to each topic that it subscribes."""

import asyncio
import time

import uarts
from iothub import Device
from peak import Peak

_PAYLOAD = b'{"temperature":21.5,"humidity":40}'
_PUBLISHES = 5
_HANDLER_MS = 100  # there is time for a look
_TIMEOUT_S = 100


class Handler:
    def __init__(self):
        self.called = asyncio.Event()

    def take(self, _topic, _payload):
        time.sleep_ms(_HANDLER_MS)
        self.called.set()


def run(port):
    uarts.use(port)
    return asyncio.run(asyncio.wait_for(_session(), _TIMEOUT_S))


async def _session():
    found = []
    device = Device.from_file("/device.json")
    with Peak() as peak:
        running = asyncio.create_task(device.run())
        await device.online(None)
    found.append(("connect: plain TCP, login", peak))

    while not device.clock.known:  # the answer comes at any time, and is no part of what follows
        await asyncio.sleep_ms(100)
    for qos in (0, 1):
        await device.publish("event", _PAYLOAD, qos)  # makes the topic, which stays
        with Peak() as peak:
            for _ in range(_PUBLISHES):
                await device.publish("event", _PAYLOAD, qos)
        found.append((f"publish, QoS {qos}", peak))

    # The first finds the buffer small. Only the session hands out views of it.
    for name, takes_view in (("view", True), ("copy", False)):
        handler = Handler()
        with Peak() as peak:
            device.session.register(device.topic(name), handler.take, 1, takes_view)
            await handler.called.wait()
        found.append((f"16 KiB received, as a {name}", peak))

    device.shadow  # noqa: B018  (is loaded)
    with Peak() as peak:
        applied = asyncio.Event()

        @device.shadow.on("brightness")
        def set_brightness(percent):
            applied.set()
            return percent

        await applied.wait()
        while device.shadow.desired:
            await asyncio.sleep_ms(20)
    found.append(("shadow: get, delta, report, clear", peak))

    await device.stop()
    await running
    return found
