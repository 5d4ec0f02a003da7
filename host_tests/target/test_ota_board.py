"""An update of the emulated Pico W from the hub, over its two UARTs: MQTT by one, the file by the
other, with TLS and without. The board is reset in the middle, goes on where it was, installs,
restarts and is confirmed. Its heap meanwhile."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from host_tests.conftest import requires
from host_tests.e2e.scenario import run, until
from host_tests.target.test_slots import BASE_MAIN, LAUNCHER, compiled
from host_tests.target.uart_network import uart_network
from tools.boards.description import read_board
from tools.bytecode import library
from tools.hub.app import Hub
from tools.hub.application import publish
from tools.hub.config import HubConfig
from tools.ota.keys import make_keys
from tools.ota.pack import (
    application_files,
    base_files,
    board_field,
    compiled_firmware,
    pack_bundle,
)
from tools.ota.slot import MAIN, slot_file
from tools.ota.trailer import Release
from tools.pico import EmulatedPico, flash_image

pytestmark = requires("node", "npm")

ROOT = Path(__file__).resolve().parents[2]
BOARD = read_board("pico_w")
HOST = "127.0.0.1"
INTERVAL = 32 * 1024
TRAILER_BYTES = 512
# Above a device that is connected and has no code of updates loaded.
HEAP_LIMIT_BYTES = 24 * 1024
# What the second connection takes here alone: a socket's buffers are no part of the heap.
UART_BYTES = 4096
# One session with a server that is verified: as test_tls_uart.py has it.
TLS_LIMIT_BYTES = {"http": 0, "https": 28 * 1024}
COMMAND_INTERVAL_S = 0.2
# So that the file is small: deciphering takes the emulator its time.
WITHOUT = (
    "app/",
    "umqtt/",
    "iothub/doctor",
    "iothub/net/coap",
    "iothub/net/log",
    "iothub/net/mqtt",
    "iothub/net/repl",
    "iothub/services/gateway",
    "iothub/services/shadow",
)
CONSOLE_TIMEOUT_S = 150.0

# The same text is both versions; which of them runs the slot says. The clock is set as if it had a
# battery; how a board without one comes to its time is tried elsewhere.
_APPLICATION = (
    uart_network(UART_BYTES)
    + """
import asyncio, os, time

from iothub import Device
from iothub.net.updates import Updates

async def main():
    device = Device.from_file("/device.json", lambda what, detail: print("event", what, detail))
    now = time.gmtime(device.settings["time_s"])
    machine.RTC().datetime(now[:3] + (now[6],) + now[3:6] + (0,))
    Line.ports = device.settings["ports"]
    updates = Updates(device, "1.0")
    version = updates.slots.version or "1.0"
    print("runs", version)
    ota = device.ota
    carry_out = ota._carry_out
    began = []

    def watched(update):
        heard = update.progress

        def progress(fetched, elapsed_ms=0):
            heard(fetched, elapsed_ms)
            look(fetched)

        update.progress = progress
        return carry_out(update)

    def look(fetched):
        if not began:
            began.append(fetched)
        elif len(began) < 2 and fetched > began[0]:
            began.append(fetched)
            print("opened", Line.peak)
            Line.peak = 0
        if fetched > device.settings["cut_at"] and "cut" in os.listdir("/"):
            os.remove("/cut")
            print("cut at", fetched)
            print("peak", Line.peak)
            time.sleep_ms(300)  # the console's turn
            machine.reset()

    ota._carry_out = watched
    keep = ota.save

    def save(*stage):
        keep(*stage)
        print("record")

    ota.save = save
    device.on_command(lambda topic, payload: print("command", payload.decode()))
    running = asyncio.create_task(device.run())
    await device.online(60000)
    await asyncio.sleep_ms(500)
    if not device.config["http"]:
        from iothub.net import rtc  # as where MQTT is by TLS too
    print("connected", heap())
    Line.peak = 0
    print("READY")
    while ota.percent < 99 or version != "1.0":
        if version != "1.0" and not updates.slots.on_trial:
            break
        await asyncio.sleep_ms(50)
    print("peak", Line.peak)
    if version != "1.0":
        await asyncio.sleep_ms(1000)
        print("END")
    await running

asyncio.run(main())
"""
)


def flash_files(keys, firmware, device: dict[str, Any]) -> dict[str, bytes]:
    """A provisioned board whose application is the one of above."""
    old = application_files(firmware, keys) | {MAIN: compiled(library().translated(_APPLICATION))}
    base = base_files(firmware) | {MAIN: compiled(BASE_MAIN)}
    return {
        "/boot.py": (ROOT / "firmware/boot.py").read_bytes(),
        "/main.py": LAUNCHER,
        "/slotboot.mpy": firmware["slotboot.mpy"],
        "/slots/a": slot_file(old),
        "/slots/base": slot_file(base),
        "/slots/keys": keys.public_file(),
        "/state/made": b"",
        "/device.json": json.dumps(device).encode(),
        "/cut": b"",
    }


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_update_over_the_uarts(tmp_path, scheme):
    """Its file by `scheme`, the server verified; MQTT is served meanwhile."""
    told: dict[str, Any] = {}

    async def scenario() -> None:
        config = HubConfig(mqtt_port=0, api_port=0, http_port=0, data=tmp_path / "hub")
        if scheme == "https":
            config = replace(config, http_port=None, https_port=0)
        (tmp_path / "hub").mkdir()
        async with Hub(config) as hub:
            product = hub.registry.add_product("boards").product_id
            made = hub.registry.add_device(product, "pico")
            keys = make_keys(tmp_path / "keys")
            firmware = compiled_firmware(BOARD)
            release = Release(0, product, board_field(BOARD), "2.0", 7)
            new = firmware | {MAIN: compiled(library().translated(_APPLICATION))}
            packed = pack_bundle(BOARD, new, release, keys, WITHOUT)

            async def content() -> AsyncIterator[bytes]:
                yield packed.content

            updates = hub.broker.updates
            await updates.library.add(product, "2.0", content())
            ports = hub.address.ports["tcp"], hub.address.ports[scheme]
            device = {
                "product_id": product,
                "device_name": "pico",
                "device_secret": made.secret,
                "transport": "tcp",
                "host": HOST,
                "port": ports[0],
                "ca": "/trust/hub.der",
                "network": {"ssid": "a wire"},
                "app": {
                    "ports": ports,
                    "cut_at": len(packed.content) // 2,
                    "time_s": int(time.time()),
                },
            }
            if scheme == "http":
                device["http"] = {"transport": "http"}
            files = flash_files(keys, firmware, device)
            files["/trust/hub.der"] = hub.authority.certificate_der
            flash = tmp_path / "flash.bin"
            flash.write_bytes(flash_image(files))
            uarts = [(HOST, port) for port in ports]
            loop = asyncio.get_running_loop()

            async def command_always() -> None:
                while True:
                    topic = f"{product}/pico/control"
                    publish(hub.broker, hub.registry, topic, b"do", 0)
                    await asyncio.sleep(COMMAND_INTERVAL_S)

            def roll_out() -> None:
                loop.call_soon_threadsafe(updates.roll_out, product, "2.0")

            commanding = asyncio.create_task(command_always())
            told["lines"] = await asyncio.to_thread(play, flash, uarts, roll_out)
            commanding.cancel()
            await until(lambda: updates.progress(product)[0].state == "done", 20)
            assert updates.running(made.identity) == "2.0"
            rows = hub.store.query("SELECT detail FROM event WHERE kind = 'ota' ORDER BY id")
            told["served"] = [
                detail for (text,) in rows if (detail := json.loads(text))["action"] == "served"
            ]
            told["size"] = len(packed.content)

    run(scenario, 250)
    judge(scheme, **told)


def play(flash: Path, uarts: list[tuple[str, int]], roll_out: Callable[[], None]) -> list[str]:
    """What the board prints until the new version is confirmed."""
    with EmulatedPico(flash=flash, uart0=uarts[0], uart1=uarts[1]) as board:
        output = board.read_console(b"READY", CONSOLE_TIMEOUT_S)
        roll_out()
        output += board.read_console(b"END", CONSOLE_TIMEOUT_S)
    return output.decode().splitlines()


def judge(scheme: str, lines: list[str], served: list[dict[str, Any]], size: int) -> None:
    runs = [line for line in lines if line.startswith("runs ")]
    assert runs == ["runs 1.0", "runs 1.0", "runs 2.0"]
    (cut_at,) = numbers(lines, "cut at")
    # After the reset it goes on where the last record was.
    firsts = [(each["status"], each["first"]) for each in served]
    assert firsts == [
        (206, size - TRAILER_BYTES),
        (206, 0),
        (206, cut_at // INTERVAL * INTERVAL),
    ]
    # MQTT is served between the first bytes and the reset.
    began = lines.index("READY")
    first_bytes = next(i for i in range(began, len(lines)) if lines[i].startswith("opened"))
    assert "command do" in lines[first_bytes : lines.index(f"cut at {cut_at}")]
    connected = numbers(lines, "connected")[0]
    opened, peak = (max(numbers(lines, word)) - connected for word in ("opened", "peak"))
    # What resuming wears the flash: a record each interval, one at the end, one before it is
    # installed; and one when the cloud knows.
    wear = (size - TRAILER_BYTES) // INTERVAL + 3
    assert lines.count("record") == wear - 1
    print(
        f"{scheme}: {size} bytes, reset at {cut_at}, resumed at {firsts[-1][1]}; heap {connected}"
        f" connected, {opened} more at the peak until the first bytes, {peak} from then on"
        f" ({UART_BYTES} of them the UART's); a whole update writes {wear} records"
    )
    assert max(opened, peak) <= HEAP_LIMIT_BYTES + UART_BYTES + TLS_LIMIT_BYTES[scheme]


def numbers(lines: list[str], word: str) -> list[int]:
    """What the board told so."""
    return [int(line.split()[-1]) for line in lines if line.startswith(word)]
