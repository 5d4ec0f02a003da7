# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""A device connects over plain TCP and uses the connection. The hub has a desired value for it,
and sends 16 KiB to each topic whose name it hears as an event."""

import asyncio
import time

import link
from iothub import Device
from peak import Peak, heap_in_use

_PAYLOAD = b'{"temperature":21.5,"humidity":40}'
_PUBLISHES = 5
_HANDLER_MS = 100  # there is time for a look
_SETTLE_MS = 500
_TIMEOUT_S = 100


def run(port):
    link.UartSocket.keeps_buffers = True
    link.use(port)
    device = Device.from_file("/device.json")
    # Within asyncio the stack may keep what was loaded for this: two kilobytes, or not.
    start_bytes = heap_in_use()
    return asyncio.run(asyncio.wait_for(_session(device, start_bytes), _TIMEOUT_S))


async def _session(device, start_bytes):
    # Each step is a coroutine of its own: one that waited keeps what it waited for.
    found = [("connect: plain TCP, login, time", await _connect(device, start_bytes))]
    for qos in (0, 1):
        await device.publish("event", _PAYLOAD, qos)  # makes the topic, which stays
        found.append((f"publish, QoS {qos}", await _publish(device, qos)))
    # The first finds the buffer small. Only the session hands out views of it.
    for name, takes_view in (("view", True), ("copy", False)):
        handler = Handler()
        await device.session.subscribe(device.topic(name), handler.take, 1, takes_view)
        found.append((f"16 KiB received, as a {name}", await _receive(device, name, handler)))
    import iothub.net.services
    import iothub.services.shadow  # noqa: F401  (its code is no part of the peak)

    found.append(("shadow: get, delta, report, clear", await _apply_desired(device)))
    await device.stop()
    return found


async def _connect(device, start_bytes):
    with Peak(start_bytes=start_bytes) as peak:
        asyncio.create_task(device.run())  # noqa: RUF006  (stop() ends it)
        # The time is asked for at once: between the two it is chance what is loaded.
        while not device.clock.known:
            await asyncio.sleep_ms(100)
        await _settle()
    return peak


async def _settle():
    """What was begun comes to its end, and lets go of its code."""
    await asyncio.sleep_ms(_SETTLE_MS)


async def _publish(device, qos):
    with Peak() as peak:
        for _ in range(_PUBLISHES):
            await device.publish("event", _PAYLOAD, qos)
    return peak


class Handler:
    def __init__(self):
        self.called = asyncio.Event()

    def take(self, _topic, _payload):
        time.sleep_ms(_HANDLER_MS)
        self.called.set()


async def _receive(device, name, handler):
    with Peak() as peak:
        await device.publish("event", name, 0)
        await handler.called.wait()
    return peak


async def _apply_desired(device):
    with Peak() as peak:
        applied = asyncio.Event()

        @device.shadow.on("brightness")
        def set_brightness(percent):
            applied.set()
            return percent

        await applied.wait()
        while device.shadow.desired:
            await asyncio.sleep_ms(20)
        await _settle()
    return peak
