"""A device that updates itself: `ota_program.py CONFIG FOLDER VERSION [NAME_MS=N...]`.

What it keeps is in FOLDER: its state, and the download. Each line of standard input is an order:
pause, resume, cancel, {"bytes_per_s": N}, or settle (with a reason: it was given up).
"""

import asyncio
import json
import os
import sys

from iothub import timeouts
from told import error_fields, say

_arguments = []
for argument in sys.argv[1:]:  # before anything reads the table
    name, is_timeout, value = argument.partition("_MS=")
    if is_timeout:
        setattr(timeouts, name + "_MS", int(value))
    else:
        _arguments.append(argument)
config_path, folder, version = _arguments
os.chdir(folder)

from iothub import Device  # noqa: E402
from iothub.errors import UpdateError  # noqa: E402
from iothub.mqtt.engine import ONLINE_AGAIN  # noqa: E402
from iothub.port.tree import Tree  # noqa: E402
from iothub.update import image  # noqa: E402
from iothub.update.download_file import FileTarget  # noqa: E402

ROOM_BYTES = 1 << 20


class Place:
    """One file; what it takes must be signed, and for this product."""

    def __init__(self, product, keys, rolled_back=None, name="/download"):
        self.rolled_back = rolled_back
        self._name = name
        self._product = product
        self._keys = keys
        self._tree = Tree(folder)

    def admit(self, trailer, head, size):
        say("admit", first=trailer is not None, size=size)
        if trailer is not None:
            image.check(
                trailer, self._product, "pico_w", {image.BUNDLE: ROOM_BYTES}, 0, size, 6,
                self._keys,
            )  # fmt: skip
            image.check_head(trailer, head)
        return "file"

    def target(self, name):
        return FileTarget(self._tree, self._name)

    def install(self, trailer):
        say("install", version=trailer.version)
        yield


class Counted:
    """The bytes of bodies that the device takes off its sockets."""

    total = 0


def count_bodies():
    """Of the next update: the code of the one before is gone."""
    from iothub.net import http

    class Client(http.Client):
        def read_now(self, buf):
            count = super().read_now(buf)
            if count:
                Counted.total += count
                say("read", total=Counted.total)
            return count

    http.Client = Client  # type: ignore[misc]


def on_event(what, detail):
    if what == ONLINE_AGAIN:
        say("online")
    elif isinstance(detail, Exception):
        say("error", **error_fields(detail))


async def update_sub_device(device, keys, product, name):
    """A gateway's: brought online, and updated through it; what it is told by is left out."""
    sub_device = device.gateway.sub_device(product, name)
    await device.online()
    await device.gateway.online(sub_device)
    ota = device.ota.of(sub_device)

    @ota.on_installed
    async def installed(version):
        say("sub-device installed", version=version)
        await ota.settle()
        ota.version = version
        ota.report_version()
        say("sub-device settled")

    ota.start("0.1", Place(product, keys, None, "/sub-download"))


async def take_orders(device, place):
    orders = asyncio.StreamReader(sys.stdin.buffer)
    while True:
        line = (await orders.readline()).decode().strip()
        if not line:
            await device.stop()
            return
        order, _, rest = line.partition(" ")
        if order.startswith("{"):
            device.ota.bytes_per_s = json.loads(line)["bytes_per_s"]
        elif order == "settle":
            await device.ota.settle(UpdateError(rest) if rest else None)
            say("settled")
        else:
            getattr(device.ota, order)()


async def main():
    device = Device.from_file(config_path, on_event)
    settings = device.settings
    keys = [bytes.fromhex(key) for key in settings["keys"]]
    place = Place(device.identity.product_id, keys, settings.get("rolled_back"))
    ota = device.ota
    ota.bytes_per_s = settings.get("bytes_per_s", 0)
    carry_out = ota._carry_out

    def watched(update):
        heard = update.progress

        def progress(fetched, elapsed_ms=0):
            say("at", fetched=fetched)
            heard(fetched, elapsed_ms)

        update.progress = progress
        count_bodies()
        return carry_out(update)

    ota._carry_out = watched

    @ota.on_installed
    async def installed(version):
        say("installed", version=version, read=Counted.total, records=ota.records)

    device.on_command(lambda topic, payload: say("command", payload=payload.decode()))
    ota.start(version, place)
    tasks = [asyncio.create_task(take_orders(device, place))]
    if "sub_device" in settings:
        tasks.append(asyncio.create_task(update_sub_device(device, keys, *settings["sub_device"])))
    await device.run()
    for task in tasks:
        await task


asyncio.run(main())
