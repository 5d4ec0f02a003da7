"""An RP2040's stack has room for some 20 calls, and to load code takes 8 of them. An application
may be several calls deep when it begins: all that the library loads for a moment loads there."""

import asyncio
import json

import pytest

from host_tests.conftest import requires
from tools.emulated.flash import LINK
from tools.hub.app import Hub
from tools.hub.config import LOOPBACK, HubConfig
from tools.hub.events import Watcher
from tools.pico import EmulatedPico, flash_image
from tools.size.library_files import compiled, library_files

pytestmark = requires("node", "npm")

# Before asyncio.run(), as the sample application has one. Starting from a slot takes four more.
CALLS_BEFORE = 8
TIMEOUT_S = 120.0
ANSWER_MS = 1000

PROGRAM = """
import asyncio, json
import link
from iothub import Device

def deeper(calls):
    return deeper(calls - 1) if calls else asyncio.run(main())

def run(calls, *ports):
    link.use(*ports)
    return deeper(calls)

async def main():
    device = Device.from_file("/device.json")
    found = {}
    called = asyncio.Event()

    @device.rrpc
    def answer(payload):
        called.set()
        return b"heard " + bytes(payload)

    @device.shadow.on("brightness")
    def set_brightness(percent):
        found["brightness"] = percent

    running = asyncio.create_task(device.run())
    await device.online(None)
    while not (device.shadow.reported and device.clock.known):
        await asyncio.sleep_ms(50)
    found["reported"] = device.shadow.reported
    names = device.settings
    gateway = device.gateway
    meter = gateway.sub_device(names["product_id"], names["device_name"])
    meter.on("control")(print)
    found["bound"] = []
    gateway.on_change(lambda bound, identities: found["bound"].append(bound))
    await gateway.bind(meter, names["device_secret"])
    await gateway.online(meter)
    # The answer takes its time. Meanwhile the meter is unbound.
    found["bound"].append(len(await gateway.describe()))
    found["prefixes"] = len(device.profile.prefixes)
    device.log.error("to be uploaded")
    await device.log.flush()
    await device.publish("event", b"ready", 1)
    await called.wait()
    await asyncio.sleep_ms(500)  # the answer leaves
    found["failed"] = device.session.handler_errors
    await device.stop()
    await running
    print(json.dumps(found))
"""


@pytest.mark.parametrize("calls", [0, CALLS_BEFORE])
def test_all_that_is_loaded_for_a_moment_loads(tmp_path, calls):
    found, answered = asyncio.run(_run(tmp_path, calls))
    wanted = {
        "brightness": 80,
        "reported": {"brightness": 80},
        "bound": [False, 1],
        "prefixes": 1,
        "failed": 0,
    }
    assert (found, answered) == (wanted, b"heard you")


async def _run(folder, calls):
    program = folder / "program.py"
    program.write_text(PROGRAM, "utf-8")
    async with Hub(HubConfig(mqtt_port=0, http_port=0, api_port=0)) as hub:
        product = hub.registry.add_product("board", kind="gateway").product_id
        device = hub.registry.add_device(product, "pico")
        meters = hub.registry.add_product("meters").product_id
        meter = hub.registry.add_device(meters, "meter")
        services = hub.broker.services
        services.shadows.update_desired(device.identity, {"brightness": 80})
        tcp, http = (hub.address.ports[name] for name in ("tcp", "http"))
        settings = {
            "product_id": product,
            "device_name": "pico",
            "device_secret": device.secret,
            "transport": "tcp",
            "network": {"ssid": "a wire"},
            "host": LOOPBACK,
            "port": tcp,
            "http": {"transport": "http", "host": LOOPBACK, "port": http},
            "app": {
                "product_id": meters,
                "device_name": "meter",
                "device_secret": meter.secret,
            },
        }
        files = {
            **library_files(),
            "/program.mpy": compiled(program),
            "/link.mpy": compiled(LINK),
            "/device.json": json.dumps(settings).encode(),
            "/state/made": b"",
        }
        flash = folder / "flash.bin"
        flash.write_bytes(flash_image(files))
        with EmulatedPico(flash=flash, uart0=(LOOPBACK, tcp), uart1=(LOOPBACK, http)) as board:
            code = f"import program\nprogram.run({calls}, {tcp}, {http})"
            watcher = Watcher()
            hub.records.watchers.add(watcher)
            calling = asyncio.create_task(_call(watcher, services.rrpc, device.identity))
            hub.broker.presence.observers.append(lambda change: _unbind(hub, change))
            printed = await asyncio.to_thread(board.exec, code, TIMEOUT_S)
            answered = await asyncio.wait_for(calling, 1)
    return json.loads(printed.splitlines()[-1]), answered


async def _call(watcher, rrpc, device):
    """Calls the device when it says that it is ready. Its answer."""
    while passed := await watcher.next():
        _, direction, _, _, payload, _ = passed
        if (direction, payload) == ("in", b"ready"):
            return (await rrpc.call(device, b"you")).payload
    return None


def _unbind(hub, change):
    """Unbinds a sub-device that is online, while its gateway waits for its next answer."""
    if change.online and change.gateway is not None:
        # The first is the answer that it is online.
        hub.faults.arm("answer_late", change.gateway.path, 2, {"delay_ms": ANSWER_MS})
        loop = asyncio.get_running_loop()
        topology = hub.broker.services.topology
        loop.call_later(
            1.5 * ANSWER_MS / 1000, topology.unbind_each, change.gateway, [change.device]
        )
