"""TLS on the emulated Pico W, over its UART: what it costs of the heap there, how it fails on
MicroPython 1.27, and a whole MQTT session by mutual TLS.

The Unix port keeps the memory of TLS outside the heap; only here it shows.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from host_tests.conftest import requires
from host_tests.e2e.application import Application
from host_tests.e2e.scenario import run
from host_tests.peers.tls_servers import (
    CLIENT_ID,
    HOST,
    Place,
    mosquitto,
    mutual_settings,
)
from tools.bytecode import library
from tools.pico import EmulatedPico, flash_image
from tools.pki import Credential, issue, make_authority
from tools.pki.issuing import Kind
from tools.size.library_files import compiled, library_files
from tools.size.plan import FOLDER as SIZE

pytestmark = requires("node", "npm", "mosquitto")

UNKNOWN_CA, EXPIRED, NOT_YET_VALID, WRONG_NAME = 2001, 2002, 2003, 2004
REFUSED_US, OUT_OF_MEMORY, NOT_TLS = 2005, 2006, 2007
KIB = 1024
# Peak above the heap before TLS was thought of, without the UART's own buffers.
PEAK_LIMIT_BYTES = {
    ("ec", False): 31 * KIB,
    ("ec", True): 32 * KIB,
    ("rsa", False): 32 * KIB,
    ("rsa", True): 38 * KIB,  # a certificate and a key of 2048 bits, and a signature with it
}
LEFT_LIMIT_BYTES = 2 * KIB

_BOARD = """
import gc, json, machine, time
from iothub.loading import for_now
from peak import Peak

def set_clock(unix_s):
    year, month, day, hour, minute, second, weekday, _ = time.gmtime(unix_s)
    machine.RTC().datetime((year, month, day, weekday, hour, minute, second, 0))

def security(kind, mutual, anchors=None):
    folder = "/" + kind
    own = [folder + "/crt.der", folder + "/key.der"] if mutual else ()
    return for_now("iothub.net.tls").by_certificates(anchors or folder + "/trust", *own)

def heap():
    gc.collect()
    return gc.mem_alloc()

def shake_hands(kind, mutual, host="127.0.0.1", anchors=None):
    uart = machine.UART(0, 921600, rxbuf=8192)
    try:
        return _shake_hands(uart, kind, mutual, host, anchors)
    except (OSError, ValueError, MemoryError) as e:
        if not hasattr(e, "reason"):
            e = for_now("iothub.net.tls_errors").explain(e, uart)
        return {"error": type(e).__name__, "code": e.code, "reason": e.reason}
    finally:
        uart.deinit()

def _shake_hands(uart, kind, mutual, host, anchors):
    before = heap()
    secured = security(kind, mutual, anchors)
    context = heap()
    started_ms = time.ticks_ms()
    stream = for_now("iothub.net.transport").secured(uart, secured, host)
    with Peak(8192, before, within_c=True) as peak:  # C collects its own
        while stream.write(b"hello") is None:
            time.sleep_ms(1)
    took_ms = time.ticks_diff(time.ticks_ms(), started_ms)
    answer = bytearray(5)
    while stream.readinto(answer) is None:
        time.sleep_ms(1)
    connected = heap()
    try:
        stream.close()
    except OSError:
        pass  # a UART cannot be closed
    stream = secured = None
    return {
        "answer": answer.decode(),
        "context": context - before,
        "peak": peak.bytes,
        "connected": connected - before,
        "left": heap() - before,
        "took_ms": took_ms,
    }
"""


class TlsServer:
    """Echoes, one connection after the other, by the `context` of the moment (None: no TLS)."""

    def __init__(self) -> None:
        self.context: ssl.SSLContext | None = None
        self._listener = socket.create_server((HOST, 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(30)
                # What goes wrong is the board's to tell.
                with contextlib.suppress(OSError), connection:
                    self._echo(connection)

    def _echo(self, connection: socket.socket) -> None:
        if self.context is None:
            connection.recv(4096)
            connection.sendall(b"220 mail.example ESMTP\r\n")
            connection.recv(4096)
            return
        with self.context.wrap_socket(connection, server_side=True) as secured:
            while data := secured.recv(4096):
                secured.sendall(data)


class World:
    """A board with keys of both kinds on its flash, and the server at the end of its UART."""

    def __init__(self, folder: Path, board: EmulatedPico, server: TlsServer) -> None:
        self.folder = folder
        self.board = board
        self.server = server
        self.authorities: dict[str, Credential] = {}

    def serve(self, kind: Kind, client_ca: bool = False, **changes: Any) -> None:
        """The server shows a certificate of this kind; `changes` are those of pki.issue()."""
        names = changes.pop("names", [HOST])
        credential = issue(self.authorities[kind], "server", names, kind=kind, **changes)
        certificate, key = self.folder / "server.pem", self.folder / "server.key"
        certificate.write_bytes(credential.certificate_pem)
        key.write_bytes(credential.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            pem = self.authorities[kind].certificate_pem.decode()
            context.load_verify_locations(cadata=pem)
        self.server.context = context

    def shake_hands(self, kind: Kind, mutual: bool = False, **options: str) -> dict[str, Any]:
        call = f"shake_hands({kind!r}, {mutual}, **{options!r})"
        return told(self.board, call)


def told(board: EmulatedPico, expression: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(board.exec(f"print(json.dumps({expression}))"))
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("tls")
    files = {**library_files(), "/peak.mpy": compiled(SIZE / "board/peak.py")}
    authorities: dict[str, Credential] = {}
    kinds: tuple[Kind, Kind] = ("ec", "rsa")
    for kind in kinds:
        authorities[kind] = authority = make_authority(f"Test CA {kind}", kind)
        device = issue(authority, "device", [CLIENT_ID], kind=kind)
        files[f"/{kind}/trust/root.der"] = authority.certificate_der
        files[f"/{kind}/crt.der"] = device.certificate_der
        files[f"/{kind}/key.der"] = device.key_der
    flash = folder / "flash.bin"
    flash.write_bytes(flash_image(files))
    server = TlsServer()
    try:
        with EmulatedPico(flash=flash, uart0=server.address) as board:
            made = World(folder, board, server)
            made.authorities = authorities
            board.exec(library().translated(_BOARD))
            made.serve("ec")
            made.shake_hands("ec")  # what stays for good is there then
            yield made
    finally:
        server.close()


@pytest.fixture
def clocked(world) -> World:
    world.board.exec(f"set_clock({int(time.time())})")
    return world


def test_without_a_clock_no_certificate_is_valid_yet(world):
    world.board.exec("set_clock(1609459200)")  # as it wakes up: 2021
    world.serve("ec")
    failed = world.shake_hands("ec")
    assert (failed["error"], failed["code"]) == ("TlsError", NOT_YET_VALID)


@pytest.mark.parametrize("mutual", [False, True], ids=["server verified", "mutual"])
@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_what_tls_costs(clocked, kind, mutual):
    clocked.serve(kind, client_ca=mutual)
    figures = clocked.shake_hands(kind, mutual)
    assert figures["answer"] == "hello"
    print(
        f"\n{kind}{', mutual' if mutual else ''}: context {figures['context']}, peak"
        f" {figures['peak']}, connected {figures['connected']}, left {figures['left']} bytes of"
        f" heap; {figures['took_ms']} ms simulated"
    )
    assert figures["peak"] <= PEAK_LIMIT_BYTES[kind, mutual]
    assert figures["left"] <= LEFT_LIMIT_BYTES


def test_errors_are_told_apart_as_on_the_unix_port(clocked):
    now = datetime.now(timezone.utc)

    def code(**options: Any) -> int:
        return int(clocked.shake_hands("ec", **options)["code"])

    clocked.serve("ec", valid_from=now - timedelta(days=9), valid_days=8)
    assert code() == EXPIRED
    clocked.serve("ec", valid_from=now + timedelta(days=9))
    assert code() == NOT_YET_VALID
    clocked.serve("ec", names=["other.example"])
    assert code() == WRONG_NAME
    clocked.serve("ec")
    assert code(anchors="/rsa/trust") == UNKNOWN_CA
    clocked.serve("ec", client_ca=True)
    assert code() == REFUSED_US
    clocked.server.context = None
    assert code() == NOT_TLS


def test_memory_is_missed_before_the_handshake_not_within(clocked):
    clocked.serve("ec", client_ca=True)
    code = """
def starve(free_bytes):
    gc.collect()
    ballast = [bytearray(1024) for _ in range((gc.mem_free() - free_bytes) // 1040)]
    return shake_hands("ec", True)
"""
    clocked.board.exec(code)
    outcomes = []
    for free_bytes in (32_000, 42_000, 52_000, 62_000):
        outcome = told(clocked.board, f"starve({free_bytes})")
        outcomes.append(outcome.get("code", outcome.get("answer")))
    assert set(outcomes) == {OUT_OF_MEMORY, "hello"}
    assert outcomes == sorted(outcomes, key=str)  # first too little, then enough


def test_psk_needs_a_newer_firmware(world):
    code = """
from iothub.errors import BadInput
try:
    for_now("iothub.net.tls").by_pre_shared_key(b"id", b"key")
except BadInput as e:
    refused = {"reason": e.reason}
"""
    world.board.exec(library().translated(code))
    reason = told(world.board, "refused")["reason"]
    assert "MicroPython 1.29" in reason and "this is 1.27" in reason


_SESSION = """
import asyncio
from iothub.errors import LinkError
from iothub.net import session
from iothub.profiles import Plain

class Line:
    '''The endpoint at the end of the UART.'''

    def __init__(self, security):
        self._security = security

    async def open(self):
        self._uart = machine.UART(0, 921600, rxbuf=8192)
        transport = for_now("iothub.net.transport")
        self._stream = transport.secured(self._uart, self._security, "127.0.0.1")
        return self, self._stream

    def readinto(self, buf):
        return self._stream.readinto(buf)

    def write(self, buf, size=None):
        return self._stream.write(buf, len(buf) if size is None else size)

    def close(self):
        self._stream = None
        self._uart.deinit()

    def handshake_over(self):
        figures["secured"] = gc.mem_alloc()

    def explain(self, error):
        return for_now("iothub.net.tls_errors").explain(error, self._uart)

    def ended(self):
        return LinkError("closed by the server")

figures = {"heard": []}

def on_event(what, detail):
    if what == session.OFFLINE:
        figures["offline"] = str(detail)

async def main():
    figures["imported"] = heap()
    made = session.Session(
        Line(security("ec", True)), lambda: (b"PRODUCTID1dev01", b"user", None), Plain(), 60,
        on_event=on_event)

    async def heard(topic, payload):
        figures["heard"].append(len(payload))
        await made.publish("up/echo", payload, 1)

    task = asyncio.create_task(made.run())
    await made.online(30000)
    await made.subscribe("down", heard)
    figures["online"] = heap()
    figures["peak"] = 0
    for i in range(30):
        await made.publish("up/count", b"%d" % i, 1)
        figures["peak"] = max(figures["peak"], gc.mem_alloc())
    while len(figures["heard"]) < 3:
        await asyncio.sleep_ms(20)
    await made.flush()
    await made.stop()
    await task
"""


def test_a_session_by_mutual_tls(tmp_path):
    place = Place.make(tmp_path)
    device = issue(place.authority, "device", [CLIENT_ID])
    files = {**library_files(), "/peak.mpy": compiled(SIZE / "board/peak.py")}
    files["/ec/trust/root.der"] = place.authority.certificate_der
    files["/ec/crt.der"] = device.certificate_der
    files["/ec/key.der"] = device.key_der
    flash = tmp_path / "flash.bin"
    flash.write_bytes(flash_image(files))

    async def scenario() -> None:
        with (
            mosquitto(tmp_path, *mutual_settings(place)) as broker,
            EmulatedPico(flash=flash, uart0=(HOST, broker.port)) as board,
        ):
            async with Application(broker.plain_port, "up/#") as app:
                board.exec(library().translated(_BOARD))
                board.exec("empty = heap()")
                board.exec(library().translated(_SESSION))  # its Line is an endpoint
                board.exec(f"set_clock({int(time.time())})")
                code = "asyncio.run(main())"
                running = asyncio.create_task(asyncio.to_thread(board.exec, code, 120))
                await app.hears(30, timeout_s=60)  # it is subscribed by then
                for size in (0, 100, 3000):
                    await app.publish("down", bytes(size))
                await running
                figures = told(board, "figures")
                empty = int(board.exec("print(empty)"))
                heard = [m.payload for m in app.messages if m.topic == "up/count"]
                assert heard == [b"%d" % i for i in range(30)]
                echoed = [len(m.payload) for m in app.messages if m.topic == "up/echo"]
                assert echoed == figures["heard"] == [0, 100, 3000]
                assert "offline" not in figures
        print(
            f"\nsession imported {figures['imported'] - empty}, handshake over"
            f" {figures['secured'] - empty}, online {figures['online'] - empty}, peak while"
            f" publishing {figures['peak'] - empty} bytes of heap above the empty board's {empty}"
        )

    run(scenario, 240)
