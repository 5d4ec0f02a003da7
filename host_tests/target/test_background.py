"""A device in the background of a prompt, on the emulated Pico W, as docs/api.md shows it: lines
are typed at the console while the hub talks to the device.

The prompt of the document is micropython-lib's aiorepl, which no package registry has: here a
smaller one takes its place. AIOREPL=aiorepl.py in the environment runs the test with the real one.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from host_tests.conftest import requires
from host_tests.e2e.scenario import run
from host_tests.target.closed_board import Console
from host_tests.target.test_slots import compiled
from tools.boards.description import read_board
from tools.demo.cloud import Cloud
from tools.emulated.flash import configuration, make_flash
from tools.hub.app import Hub
from tools.hub.config import LOOPBACK, HubConfig
from tools.ota.pack import application_files, compiled_firmware
from tools.ota.slot import MAIN, slot_file
from tools.pico import flash_image
from tools.pico.emulator_process import EmulatorProcess
from tools.pico.filesystem import read_flash_image
from tools.pico.image import stock_image

pytestmark = requires("node", "npm")

START_TIMEOUT_S = 60.0
TIMEOUT_S = 120.0
# As in docs/api.md, and a command that shows that the device lives.
PROGRAM = """
import asyncio

import aiorepl
from iothub import Device


async def main():
    device = Device.from_file("device.json")
    device.on_command(lambda topic, payload: print("obeys", bytes(payload)))
    asyncio.create_task(aiorepl.task({"device": device}))
    await device.run()


asyncio.run(main())
"""
STAND_IN = """
import asyncio
import sys

import micropython


async def task(g):
    micropython.kbd_intr(-1)
    console = asyncio.StreamReader(sys.stdin)
    while True:
        sys.stdout.write("--> ")
        line = ""
        while not line.endswith("\\n"):
            line += await console.read(1)
        try:
            names = {}
            code = line.strip() or "None"
            exec("async def typed():\\n    return " + code, g, names)
            value = await names["typed"]()
            if value is not None:
                print(repr(value))
        except Exception as e:
            print("%s: %s" % (type(e).__name__, e))
"""


def aiorepl() -> str:
    path = os.environ.get("AIOREPL")
    return Path(path).read_text() if path else STAND_IN


@asynccontextmanager
async def board(folder: Path) -> AsyncIterator[tuple[Cloud, str, int]]:
    """The hub's API, the device's PID/DN and the port of the board's console."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(Hub(HubConfig(mqtt_port=0, api_port=0)))
        cloud = await stack.enter_async_context(Cloud(hub.api_port))
        product = (await cloud.post("/products", {"name": "background"}))["product_id"]
        created = await cloud.post(f"/products/{product}/devices", {"name": "pico-w"})
        device = configuration(product, "pico-w", created["device_secret"], hub.mqtt_port)
        firmware = application_files(compiled_firmware(read_board("pico_w")), None)
        files = read_flash_image(make_flash(device))
        programs = {MAIN: compiled(PROGRAM), "aiorepl.mpy": compiled(aiorepl())}
        files["/slots/a"] = slot_file(firmware | programs)
        flash = folder / "flash.bin"
        flash.write_bytes(flash_image(files))
        arguments = ["--flash", str(flash), "--uart0", f"{LOOPBACK}:{hub.mqtt_port}"]
        emulator = EmulatorProcess([str(stock_image()), *arguments])
        stack.callback(emulator.stop)
        ready = await asyncio.to_thread(emulator.wait_for, "ready", START_TIMEOUT_S)
        yield cloud, f"{product}/pico-w", ready["port"]


def test_a_device_in_the_background_of_a_prompt(tmp_path):
    async def scenario() -> None:
        async with board(tmp_path) as (cloud, device, port):
            with Console(port) as console:

                async def typed(line: bytes, answer: bytes) -> None:
                    console.seen = b""
                    await asyncio.to_thread(console.types, line + b"\r", 1, 0.1)
                    await asyncio.to_thread(console.sees, answer)

                await asyncio.to_thread(console.sees, b"--> ")
                await typed(b"await device.online(30000)", b"--> ")
                await typed(b"device.is_online", b"True\r\n--> ")
                await typed(b'await device.publish("event", "typed by hand")', b"--> ")
                await typed(b"device.acknowledged", b"1\r\n--> ")
                await typed(b"device.no_such_thing", b"AttributeError: ")
                await typed(b'await device.publish("a/+", "x")', b"BadInput: ")
                # While nothing is typed, and with half a line typed.
                await asyncio.to_thread(console.types, b"device.is_")
                sent = {"topic": f"{device}/control", "payload": "on", "qos": 1}
                await cloud.post("/publish", sent)
                await asyncio.to_thread(console.sees, b"obeys b'on'")
                await typed(b"online", b"True\r\n--> ")
            assert [m["payload"] for m in await cloud.messages(device)] == ["typed by hand"]

    run(scenario, TIMEOUT_S)
