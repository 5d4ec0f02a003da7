"""Two TLS sessions at once on the emulated Pico W, over its two UARTs: a whole Device that stays
connected by MQTT, and a download by HTTPS beside it. Their heap together, and what is left.

docs/tls.md has the figures. `make test` measures one pair, `make sweep` all.
"""

import asyncio
import hashlib
import json
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from host_tests.conftest import requires
from host_tests.e2e.application import Application
from host_tests.e2e.scenario import run
from host_tests.peers.tls_servers import (
    CLIENT_ID,
    DEVICE_NAME,
    DEVICE_SECRET,
    HOST,
    PRODUCT_ID,
    Place,
    mosquitto,
)
from host_tests.target.uart_network import uart_network
from tools.bytecode import library
from tools.pico import EmulatedPico, flash_image
from tools.pki import issue
from tools.pki.issuing import Kind
from tools.size.library_files import library_files

pytestmark = requires("node", "npm", "mosquitto")

ROOT = Path(__file__).resolve().parents[2]
KIB = 1024
BODY = bytes(range(256)) * 16
# MQTT's certificates, whether it is mutual, and those of HTTPS.
PAIRS = [
    pytest.param("ec", True, "ec", id="ec, mutual and ec"),
    pytest.param("ec", False, "ec", marks=pytest.mark.sweep, id="ec and ec"),
    pytest.param("ec", False, "rsa", marks=pytest.mark.sweep, id="ec and rsa"),
    pytest.param("ec", True, "rsa", marks=pytest.mark.sweep, id="ec, mutual and rsa"),
    pytest.param("rsa", False, "rsa", marks=pytest.mark.sweep, id="rsa and rsa"),
    pytest.param("rsa", True, "rsa", marks=pytest.mark.sweep, id="rsa, mutual and rsa"),
]
# Of both sessions: above the heap with all the code and none of them.
PEAK_LIMIT_BYTES = 62 * KIB
# What the application may have, at the worst moment; and what it has here, in small pieces.
LEFT_LIMIT_BYTES = 64 * KIB
APPLICATION_BYTES = 24 * KIB
RELEASED_LIMIT_BYTES = KIB

_BOARD = """
import asyncio, gc, hashlib, json, time

figures = {"boot": boot_bytes, "total": gc.mem_alloc() + gc.mem_free(), "uarts": uarts_bytes}

from iothub import Device
from iothub.loading import for_now
from iothub.net import publish
from iothub.net.follow import follow

async def main(mqtt_port, http_port, application_bytes):
    Line.ports = mqtt_port, http_port
    device = Device.from_file("/device.json")
    figures["code"] = heap() - figures["uarts"]  # with the device, and its anchors
    running = asyncio.create_task(device.run())
    await device.online(60000)
    await device.publish("event", "before")
    figures["steady"] = heap() - figures["uarts"]
    figures["handshake"] = Line.peak - figures["uarts"]
    application = [bytes(496) for _ in range(application_bytes // 512)]
    ballast = heap() - figures["uarts"] - figures["steady"]
    Line.peak = 0
    started_ms = time.ticks_ms()
    security = for_now("iothub.net.tls").by_certificates("/https")
    client = await follow("https://127.0.0.1:%d/file" % http_port, security)
    figures["took_ms"] = time.ticks_diff(time.ticks_ms(), started_ms)
    digest = hashlib.sha256()
    piece = bytearray(256)
    while count := await client.readinto(piece):
        digest.update(memoryview(piece)[:count])
    figures["sha256"] = digest.digest().hex()
    figures["pair"] = heap() - figures["uarts"] - ballast
    await device.publish("event", "beside")
    figures["peak"] = Line.peak - figures["uarts"] - ballast
    client.close()
    client = security = None
    await device.publish("event", "after")
    figures["after"] = heap() - figures["uarts"] // 2 - ballast  # the other was let go of
    figures["error"] = str(device.last_error)
    await device.stop()
    await running
"""


class Download:
    """An HTTPS server with one file. `async with Download(...) as port`."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)

    async def __aenter__(self) -> int:
        async def give(_request: web.Request) -> web.Response:
            return web.Response(body=BODY)

        app = web.Application()
        app.router.add_get("/file", give)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0, ssl_context=self._context).start()
        return int(self._runner.addresses[0][1])

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()


def made_place(folder: Path, kind: Kind) -> tuple[Place, Path, Path]:
    """With the PEM files (certificate, key) of a server of that kind."""
    folder.mkdir()
    place = Place.make(folder, kind)
    credential = issue(place.authority, "server", [HOST], kind=kind)
    return place, *place.server(credential)


def device_files(place: Place, kind: Kind, mutual: bool, port: int) -> dict[str, bytes]:
    """What is on the flash: the library, and a device for the server at this port."""
    files = library_files()
    files["/boot.py"] = (ROOT / "firmware/boot.py").read_bytes()
    settings: dict[str, Any] = {
        "product_id": PRODUCT_ID,
        "device_name": DEVICE_NAME,
        "transport": "tls",
        "host": HOST,
        "port": port,
        "network": {"ssid": "a wire"},
        "ca": "/trust",
    }
    files["/trust/root.der"] = place.authority.certificate_der
    if mutual:
        credential = issue(place.authority, "device", [CLIENT_ID], kind=kind)
        files["/crt.der"], files["/key.der"] = credential.certificate_der, credential.key_der
        settings.update(certificate="/crt.der", private_key="/key.der")
    else:
        settings["device_secret"] = DEVICE_SECRET
    files["/device.json"] = json.dumps(settings).encode()
    return files


@pytest.mark.parametrize(("kind", "mutual", "https_kind"), PAIRS)
def test_https_beside_mqtt(tmp_path, kind, mutual, https_kind):
    place, certificate, key = made_place(tmp_path / "mqtt", kind)
    gateway, *https_files = made_place(tmp_path / "https", https_kind)
    settings = [f"certfile {certificate}", f"keyfile {key}"]
    if mutual:
        settings += [f"cafile {place.folder / 'ca.pem'}", "require_certificate true"]

    figures: dict[str, Any] = {}

    async def scenario() -> None:
        with mosquitto(tmp_path, *settings) as broker:
            files = device_files(place, kind, mutual, broker.port)
            files["/https/root.der"] = gateway.authority.certificate_der
            flash = tmp_path / "flash.bin"
            flash.write_bytes(flash_image(files))
            async with (
                Application(broker.plain_port, f"{PRODUCT_ID}/#") as app,
                Download(*https_files) as https_port,
            ):
                uarts = (HOST, broker.port), (HOST, https_port)
                figures.update(await asyncio.to_thread(measure, flash, uarts))
                heard = [message.payload for message in app.messages]
                assert heard == [b"before", b"beside", b"after"]

    run(scenario, 180)
    judge(figures)


def measure(flash: Path, uarts: tuple[tuple[str, int], tuple[str, int]]) -> dict[str, Any]:
    with EmulatedPico(flash=flash, uart0=uarts[0], uart1=uarts[1]) as board:
        now = time.gmtime()
        moment = (*now[:3], now.tm_wday, *now[3:6], 0)
        board.exec(f"import machine; machine.RTC().datetime({moment})")
        board.exec(library().translated(uart_network(8192) + _BOARD))
        ports = ", ".join(str(port) for _, port in uarts)
        code = f"asyncio.run(main({ports}, {APPLICATION_BYTES}))"
        board.exec(code, 150)
        figures: dict[str, Any] = json.loads(board.exec("print(json.dumps(figures))"))
        return figures


def judge(figures: dict[str, Any]) -> None:
    assert figures["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert figures["error"] == "None", "MQTT was disturbed"
    code = figures["code"]
    left = figures["total"] - figures["peak"]
    print(
        f"\nMQTT {figures['handshake'] - code} at peak, {figures['steady'] - code} steady; with"
        f" HTTPS {figures['peak'] - code} at peak, {figures['pair'] - code} steady; {left} bytes"
        f" of heap left at peak; {figures['took_ms']} ms simulated until the response"
    )
    assert figures["peak"] - code <= PEAK_LIMIT_BYTES
    assert left >= LEFT_LIMIT_BYTES
    assert figures["after"] - figures["steady"] <= RELEASED_LIMIT_BYTES
