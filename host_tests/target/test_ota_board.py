"""An update of the emulated Pico W from the hub, over its two UARTs: MQTT by one, the file by the
other. The board is reset in the middle, goes on where it was, installs, restarts and is confirmed.
Its heap meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from host_tests.conftest import requires
from host_tests.e2e.scenario import run, until
from host_tests.target.test_slots import BASE_MAIN, LAUNCHER, compiled
from tools.boards.description import read_board
from tools.hub.app import Hub
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
HEAP_LIMIT_BYTES = 24 * 1024
CONSOLE_TIMEOUT_S = 150.0

# The same text is both versions; which of them runs the slot says.
_APPLICATION = """
import asyncio, gc, io, machine, os, select, sys, time

def heap():
    gc.collect()
    return gc.mem_alloc()

def uart(number):
    return machine.UART(number, 921600, rxbuf=4096)

uarts = [uart(0), uart(1)]

class Line(io.IOBase):
    '''A socket that is a UART; at each use of it the heap is looked at.'''

    ports = ()
    peak = 0

    def __init__(self, *_):
        pass
    def setblocking(self, _):
        pass
    def setsockopt(self, *_):
        pass
    def connect(self, address):
        self._number = self.ports.index(address[1])
        uarts[self._number] = uart(self._number)
    def readinto(self, buf):
        self._look()
        return uarts[self._number].readinto(buf)
    def write(self, buf, *size):
        self._look()
        return uarts[self._number].write(buf, *size)
    def ioctl(self, request, argument):
        if request == 3:  # poll
            ready = select.POLLIN if uarts[self._number].any() else 0
            return argument & (select.POLLOUT | ready)
        return 0
    def close(self):
        uarts[self._number] = uart(self._number)
    def _look(self):
        if gc.mem_alloc() > Line.peak:
            Line.peak = max(Line.peak, heap())

class Sockets:
    SOCK_STREAM = 1
    socket = Line
    @staticmethod
    def getaddrinfo(host, port, *_):
        return [(2, 1, 0, "", (host, port))]

class Wlan:
    def __init__(self, _):
        pass
    def isconnected(self):
        return True

class Radio:
    STA_IF = 0
    WLAN = Wlan

sys.modules["socket"] = Sockets
sys.modules["network"] = Radio

from iothub import Device
from iothub.net.updates import Updates

async def main():
    device = Device.from_file("/device.json", lambda what, detail: print("event", what, detail))
    Line.ports = device.settings["ports"]
    updates = Updates(device, "1.0")
    version = updates.slots.version or "1.0"
    print("runs", version)
    ota = device.ota
    heard = ota.progress

    def progress(fetched, elapsed_ms=0):
        heard(fetched, elapsed_ms)
        if fetched > device.settings["cut_at"] and "cut" in os.listdir("/"):
            os.remove("/cut")
            print("cut at", fetched)
            print("peak", Line.peak)
            time.sleep_ms(300)  # the console's turn
            machine.reset()

    ota.progress = progress
    keep = ota.save

    def save(*stage):
        keep(*stage)
        print("record")

    ota.save = save
    device.on_command(lambda topic, payload: print("command", payload.decode()))
    running = asyncio.create_task(device.run())
    await device.online(60000)
    await asyncio.sleep_ms(500)
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


def flash_files(keys, firmware, device: dict[str, Any]) -> dict[str, bytes]:
    """A provisioned board whose application is the one of above."""
    old = application_files(firmware, keys) | {MAIN: compiled(_APPLICATION)}
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


def test_an_update_over_the_uarts(tmp_path):
    told: dict[str, Any] = {}

    async def scenario() -> None:
        config = HubConfig(mqtt_port=0, api_port=0, http_port=0, data=tmp_path / "hub")
        (tmp_path / "hub").mkdir()
        async with Hub(config) as hub:
            product = hub.registry.add_product("boards").product_id
            made = hub.registry.add_device(product, "pico")
            keys = make_keys(tmp_path / "keys")
            firmware = compiled_firmware(BOARD)
            release = Release(0, product, board_field(BOARD), "2.0", 7)
            new = firmware | {MAIN: compiled(_APPLICATION)}
            packed = pack_bundle(BOARD, new, release, keys)

            async def content() -> AsyncIterator[bytes]:
                yield packed.content

            updates = hub.broker.updates
            await updates.library.add(product, "2.0", content())
            ports = hub.address.ports["tcp"], hub.address.ports["http"]
            device = {
                "product_id": product,
                "device_name": "pico",
                "device_secret": made.secret,
                "transport": "tcp",
                "host": HOST,
                "port": ports[0],
                "http": {"transport": "http"},
                "network": {"ssid": "a wire"},
                "app": {"ports": ports, "cut_at": len(packed.content) // 2},
            }
            flash = tmp_path / "flash.bin"
            flash.write_bytes(flash_image(flash_files(keys, firmware, device)))
            uarts = [(HOST, port) for port in ports]
            loop = asyncio.get_running_loop()

            def roll_out() -> None:
                loop.call_soon_threadsafe(updates.roll_out, product, "2.0")

            told["lines"] = await asyncio.to_thread(play, flash, uarts, roll_out)
            await until(lambda: updates.progress(product)[0].state == "done", 20)
            assert updates.running(made.identity) == "2.0"
            rows = hub.store.query("SELECT detail FROM event WHERE kind = 'ota' ORDER BY id")
            told["served"] = [
                detail for (text,) in rows if (detail := json.loads(text))["action"] == "served"
            ]
            told["size"] = len(packed.content)

    run(scenario, 250)
    judge(**told)


def play(flash: Path, uarts: list[tuple[str, int]], roll_out: Callable[[], None]) -> list[str]:
    """What the board prints until the new version is confirmed."""
    with EmulatedPico(flash=flash, uart0=uarts[0], uart1=uarts[1]) as board:
        output = board.read_console(b"READY", CONSOLE_TIMEOUT_S)
        roll_out()
        output += board.read_console(b"END", CONSOLE_TIMEOUT_S)
    return output.decode().splitlines()


def judge(lines: list[str], served: list[dict[str, Any]], size: int) -> None:
    runs = [line for line in lines if line.startswith("runs ")]
    assert runs == ["runs 1.0", "runs 1.0", "runs 2.0"]
    (cut_at,) = [int(line.split()[-1]) for line in lines if line.startswith("cut at")]
    # After the reset it goes on where the last record was.
    firsts = [(each["status"], each["first"]) for each in served]
    assert firsts == [
        (206, size - TRAILER_BYTES),
        (206, 0),
        (206, cut_at // INTERVAL * INTERVAL),
    ]
    connected = next(int(line.split()[1]) for line in lines if line.startswith("connected"))
    peak = max(int(line.split()[1]) for line in lines if line.startswith("peak"))
    # What resuming wears the flash: a record each interval, one at the end, one before it is
    # installed; and one when the cloud knows.
    wear = (size - TRAILER_BYTES) // INTERVAL + 3
    assert lines.count("record") == wear - 1
    print(
        f"{size} bytes, reset at {cut_at}, resumed at {firsts[-1][1]}; heap {connected} connected,"
        f" {peak - connected} more at the peak of the download;"
        f" a whole update writes {wear} records"
    )
    assert peak - connected <= HEAP_LIMIT_BYTES
