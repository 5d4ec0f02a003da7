"""A hub with a product and a device, and the emulated board that is this device."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tools.demo.cloud import Cloud
from tools.emulated.flash import configuration, make_flash
from tools.hub.app import Hub
from tools.hub.config import LOOPBACK, HubConfig
from tools.pico.board import START_TIMEOUT_S
from tools.pico.emulator_process import EmulatorProcess
from tools.pico.image import stock_image

INTERVAL_MS = 1000


@dataclass(frozen=True)
class Stage:
    """`device`: "PID/DN"; `console_port`: TCP, the board's REPL."""

    cloud: Cloud
    device: str
    console_port: int


@contextlib.asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """Sets everything up, gives the board power, and clears it all away afterwards."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iothub-pico-")))
        hub = await stack.enter_async_context(Hub(HubConfig(mqtt_port=0, api_port=0)))
        cloud = await stack.enter_async_context(Cloud(hub.api_port))
        product = (await cloud.post("/products", {"name": "pico"}))["product_id"]
        created = await cloud.post(f"/products/{product}/devices", {"name": "pico-w"})
        flash = folder / "flash.bin"
        wired = configuration(product, "pico-w", created["device_secret"], hub.mqtt_port)
        flash.write_bytes(make_flash({**wired, "app": {"interval_ms": INTERVAL_MS}}))
        arguments = [str(stock_image()), "--flash", str(flash)]
        emulator = EmulatorProcess([*arguments, "--uart0", f"{LOOPBACK}:{hub.mqtt_port}"])
        stack.callback(emulator.stop)
        port = emulator.wait_for("ready", START_TIMEOUT_S)["port"]
        yield Stage(cloud, f"{product}/pico-w", port)
