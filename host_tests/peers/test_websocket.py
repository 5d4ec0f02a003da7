"""MQTT over WebSocket, plain and over TLS, from the MicroPython interpreter, against mosquitto
(libwebsockets) and against a server of the `aiohttp` package that also does what mosquitto never
does: fragments, pings, closes with a code."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from aiohttp import WSCloseCode, web
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run
from host_tests.peers.tls_conversation import (
    PROGRAM,
    converse,
    first_failure,
    refusal,
    talk_blocking,
)
from host_tests.peers.tls_servers import (
    CLIENT_ID,
    HOST,
    Place,
    mosquitto,
    mutual_settings,
    tls_settings,
)
from tools.faults import Faults, Flow
from tools.pki import issue, make_authority

pytestmark = requires("mosquitto")

CLIENTS = ["tries", "blocking"]
WEBSOCKETS = "protocol websockets"
CONNACK = b"\x20\x02\x00\x00"
UNKNOWN_CA, REFUSED_US, NOT_TLS = 2001, 2005, 2007

Speak = Callable[[web.WebSocketResponse], Coroutine[Any, Any, None]]


@pytest.fixture
def place(tmp_path):
    return Place.make(tmp_path)


def server_context(place: Place) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*place.server())
    return made


@contextlib.asynccontextmanager
async def websocket_server(
    speak: Speak, protocols: tuple[str, ...] = ("mqtt",), tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """The port of a server that accepts a WebSocket on /mqtt and lets `speak` go on."""

    async def handle(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(protocols=protocols, autoping=False)
        await response.prepare(request)
        await speak(response)
        return response

    application = web.Application()
    application.router.add_get("/mqtt", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0, ssl_context=tls)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


# What works


@pytest.mark.parametrize("path", ["/", "/mqtt"])
def test_ws_with_mosquitto(place, path):
    async def scenario() -> None:
        with mosquitto(place.folder, WEBSOCKETS) as broker:
            await converse(place, broker, transport="ws", websocket_path=path)

    run(scenario, 60)


@pytest.mark.parametrize("path", ["/", "/mqtt"])
def test_wss_with_mosquitto(place, path):
    async def scenario() -> None:
        with mosquitto(place.folder, WEBSOCKETS, *tls_settings(place)) as broker:
            told = await converse(place, broker, transport="wss", websocket_path=path)
            print(f"largest gap while connecting: {told['largest_gap_ms']} ms")

    run(scenario, 60)


@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_a_stream_in_small_pieces(place, transport):
    faults = Faults(Flow(piece_bytes=7, gap_ms=0.1), Flow(piece_bytes=5, gap_ms=0.1))
    settings = tls_settings(place) if transport == "wss" else []

    async def scenario() -> None:
        with mosquitto(place.folder, WEBSOCKETS, *settings) as broker:
            await converse(place, broker, faults=faults, transport=transport)

    run(scenario, 120)


@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_the_blocking_client(place, transport):
    settings = tls_settings(place) if transport == "wss" else []

    async def scenario() -> None:
        with mosquitto(place.folder, WEBSOCKETS, *settings) as broker:
            await talk_blocking(broker, place.config(broker.port, transport=transport))

    run(scenario)


def test_wss_with_a_certificate_signs_its_password_and_feeds_the_watchdog(place):
    device = issue(place.authority, "device", [CLIENT_ID], kind="rsa")
    connects: list[bytes] = []

    async def speak(socket: web.WebSocketResponse) -> None:
        connects.append(await socket.receive_bytes())
        await socket.send_bytes(CONNACK)
        await socket.receive()

    async def scenario() -> None:
        tls = server_context(place)
        tls.load_verify_locations(place.folder / "ca.pem")
        tls.verify_mode = ssl.CERT_REQUIRED
        async with websocket_server(speak, tls=tls) as port:
            config = place.config(
                port, transport="wss", websocket_path="/mqtt", **place.device_files(device)
            )
            async with DeviceProgram(PROGRAM, "tries", config) as dut:
                online = await dut.expect("online")
                dut.tell()
                await dut.end()
        assert online["feeds"] == len(connects) == 1, "not once between the halves"
        client_id, username, password = fields_of(connects[0])
        assert client_id == CLIENT_ID.encode()
        signature, method = password.split(b";")
        assert method == b"rsa-sha256"
        key = device.certificate.public_key()
        assert isinstance(key, RSAPublicKey)
        key.verify(  # raises unless it is the device's
            bytes.fromhex(signature.decode()), username, padding.PKCS1v15(), SHA256()
        )

    run(scenario)


def fields_of(connect: bytes) -> list[bytes]:
    """Client id, user name and password of a CONNECT packet."""
    at = 1
    while connect[at] & 0x80:
        at += 1
    rest = connect[at + 1 + 10 :]
    found = []
    while rest:
        size = int.from_bytes(rest[:2], "big")
        found.append(rest[2 : 2 + size])
        rest = rest[2 + size :]
    return found


def test_fragments_pings_and_pongs_while_fragments_are_open(place):
    pongs: list[bytes] = []

    async def speak(socket: web.WebSocketResponse) -> None:
        await socket.receive_bytes()
        writer = socket._writer
        assert writer is not None
        connection = writer.transport
        assert connection is not None
        connection.write(b"\x02\x01" + CONNACK[:1])  # binary, to be continued
        await socket.ping(b"between")
        connection.write(b"\x00\x00")  # an empty fragment
        connection.write(b"\x00\x02" + CONNACK[1:3])
        await socket.ping(b"")
        connection.write(b"\x80\x01" + CONNACK[3:])  # the last
        while len(pongs) < 2:
            message = await socket.receive()
            if message.type is web.WSMsgType.PONG:
                pongs.append(message.data)
        await socket.receive()

    async def scenario() -> None:
        async with websocket_server(speak) as port:
            config = place.config(port, transport="ws", websocket_path="/mqtt")
            async with DeviceProgram(PROGRAM, "tries", config) as dut:
                await dut.expect("online")
                async with asyncio.timeout(5):
                    while len(pongs) < 2:
                        await asyncio.sleep(0.01)
                assert not dut.of("offline")
                dut.tell()
                await dut.end()
        assert [bytes(pong) for pong in pongs] == [b"between", b""]

    run(scenario)


# What does not


@pytest.mark.parametrize("client", CLIENTS)
def test_a_close_with_a_code_is_told(place, client):
    async def speak(socket: web.WebSocketResponse) -> None:
        await socket.receive_bytes()
        await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"not today")

    async def scenario() -> None:
        async with websocket_server(speak) as port:
            config = place.config(port, transport="ws", websocket_path="/mqtt")
            event = await first_failure(client, config)
            assert event["error"] == "LinkError"
            assert event["reason"] == "closed by the server: 1008 not today"

    run(scenario)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("transport", ["ws", "wss"])
@pytest.mark.parametrize(
    ("path", "protocols", "reason"),
    [
        ("/other", ("mqtt",), "answered HTTP/1.1 404 Not Found"),
        ("/mqtt", (), "does not agree to mqtt"),
        ("/mqtt", ("chat",), "does not agree to mqtt"),
    ],
)
def test_a_refused_handshake_is_told(place, client, transport, path, protocols, reason):
    async def speak(socket: web.WebSocketResponse) -> None:
        await socket.receive()

    async def scenario() -> None:
        tls = server_context(place) if transport == "wss" else None
        async with websocket_server(speak, protocols, tls) as port:
            config = place.config(port, transport=transport, websocket_path=path)
            event = await first_failure(client, config)
            assert (event["error"], event["typed"]) == ("ProtocolError", True)
            assert reason in event["reason"]

    run(scenario)


@pytest.mark.parametrize("client", CLIENTS)
def test_servers_that_do_not_speak_websocket(place, client):
    async def scenario() -> None:
        with mosquitto(place.folder) as broker:  # plain MQTT
            event = await first_failure(client, place.config(broker.port, transport="ws"))
            assert (event["error"], event["phase"]) == ("LinkError", "connect")
            event = await first_failure(client, place.config(broker.port, transport="wss"))
            assert (event["error"], event["code"]) == ("TlsError", NOT_TLS)
        with mosquitto(place.folder, *tls_settings(place)) as broker:  # MQTT over TLS
            event = await first_failure(client, place.config(broker.port, transport="wss"))
            assert (event["error"], event["phase"]) == ("LinkError", "connect")
            assert "WebSocket handshake" in event["reason"]

    run(scenario)


@pytest.mark.parametrize("client", CLIENTS)
def test_wss_verifies_like_tls(place, client):
    async def scenario() -> None:
        stranger = issue(make_authority("Other CA"), "server", [HOST])
        with mosquitto(place.folder, WEBSOCKETS, *tls_settings(place, stranger)) as broker:
            event = await first_failure(client, place.config(broker.port, transport="wss"))
            assert (event["error"], event["code"]) == ("TlsError", UNKNOWN_CA)
        with mosquitto(place.folder, WEBSOCKETS, *mutual_settings(place)) as broker:
            event = await first_failure(client, place.config(broker.port, transport="wss"))
            assert (event["error"], event["code"]) == ("TlsError", REFUSED_US)

    run(scenario)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_a_server_that_says_nothing(place, client, transport):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(serve, HOST, 0) as server:
            port = server.sockets[0].getsockname()[1]
            config = place.config(port, transport=transport)
            times = ("WEBSOCKET_HANDSHAKE_MS=400", "TCP_CONNECT_MS=600")
            event = await first_failure(client, config, *times)
            assert (event["error"], event["typed"]) == ("DeadlineError", True)

    run(scenario)


def test_a_key_that_cannot_sign_is_told_before_anything_is_sent(place):
    async def scenario() -> None:
        device = issue(place.authority, "device", [CLIENT_ID], kind="ec")
        config = place.config(1, transport="wss", **place.device_files(device))
        event = await refusal("tries", config)
        assert "private_key: is not an RSA private key" in event["reason"]

    run(scenario)
