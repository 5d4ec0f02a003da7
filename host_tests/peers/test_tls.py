"""TLS with certificates, from the MicroPython interpreter, against mosquitto and openssl."""

import asyncio
import ssl
from datetime import datetime, timedelta, timezone

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run
from host_tests.peers.tls_conversation import (
    PROGRAM,
    converse,
    converse_once,
    finish,
    first_failure,
    refusal,
    talk_blocking,
)
from host_tests.peers.tls_servers import (
    CLIENT_ID,
    HOST,
    Place,
    certificate_arguments,
    mosquitto,
    mutual_settings,
    password_settings,
    s_server,
    tls_settings,
)
from tools.faults import FaultProxy, Faults, Flow
from tools.pki import issue, make_authority

pytestmark = requires("mosquitto", "openssl")

NOW = datetime.now(timezone.utc)
UNKNOWN_CA, EXPIRED, NOT_YET_VALID, WRONG_NAME = 2001, 2002, 2003, 2004
REFUSED_US, OUT_OF_MEMORY, NOT_TLS = 2005, 2006, 2007
CLIENTS = ["tries", "blocking"]
KINDS = ["ec", "rsa"]


@pytest.fixture
def place(tmp_path):
    return Place.make(tmp_path)


def failed(event, code: int, hint: str) -> None:
    """A TlsError of this code, whose hint says this."""
    assert (event["error"], event["code"]) == ("TlsError", code), event
    assert (event["phase"], event["typed"]) == ("tls", True)
    assert hint in event["hint"]


# What works


@pytest.mark.parametrize("kind", KINDS)
def test_mutual_tls_with_mosquitto(tmp_path, kind):
    place = Place.make(tmp_path, kind)
    device = issue(place.authority, "device", [CLIENT_ID], kind=kind)

    async def scenario() -> None:
        with mosquitto(place.folder, *mutual_settings(place)) as broker:
            fields = place.device_files(device)
            told = await converse(place, broker, transport="tls", **fields)
            print(f"largest gap while connecting: {told['largest_gap_ms']} ms")

    run(scenario, 60)


@pytest.mark.parametrize("kind", KINDS)
def test_mutual_tls_with_openssl(tmp_path, kind):
    place = Place.make(tmp_path, kind)
    device = issue(place.authority, "device", [CLIENT_ID], kind=kind)
    verify = ("-CAfile", tmp_path / "ca.pem", "-Verify", 1, "-verify_return_error")

    async def scenario() -> None:
        with (
            mosquitto(place.folder) as broker,
            s_server(broker.plain_port, *certificate_arguments(place), *verify) as port,
        ):
            fields = place.device_files(device)
            await converse_once(port, broker, place, transport="tls", **fields)

    run(scenario, 60)


def test_a_verified_server_with_a_password(place):
    async def scenario() -> None:
        settings = (*tls_settings(place), *password_settings(place, "user", "pass-word"))
        with mosquitto(place.folder, *settings, anonymous=False) as broker:
            await converse(place, broker, login=["user:pass-word"], transport="tls")

    run(scenario, 60)


def test_a_verified_server_by_openssl(place):
    async def scenario() -> None:
        with (
            mosquitto(place.folder) as broker,
            s_server(broker.plain_port, *certificate_arguments(place)) as port,
        ):
            await converse_once(port, broker, place, transport="tls")

    run(scenario, 60)


def test_the_blocking_client(place):
    async def scenario() -> None:
        with mosquitto(place.folder, *tls_settings(place)) as broker:
            await talk_blocking(broker, place.config(broker.port, transport="tls"))

    run(scenario)


def test_a_name_is_checked_not_the_address(place):
    async def scenario() -> None:
        server = issue(place.authority, "server", ["localhost"])
        with mosquitto(place.folder, *tls_settings(place, server)) as broker:
            config = place.config(broker.port, transport="tls", host="localhost")
            async with DeviceProgram(PROGRAM, "talks", config, 1) as dut:
                await dut.expect("ready")
                await finish(dut)
            config = place.config(broker.port, transport="tls")
            failed(await first_failure("tries", config), WRONG_NAME, "host and region")

    run(scenario)


# The server's certificate


def wrong_certificates(place):
    names = ["localhost", HOST]
    ca = place.authority
    week = timedelta(days=7)
    return {
        UNKNOWN_CA: issue(make_authority("Other CA"), "server", names),
        EXPIRED: issue(ca, "server", names, valid_from=NOW - week, valid_days=6),
        NOT_YET_VALID: issue(ca, "server", names, valid_from=NOW + week),
        WRONG_NAME: issue(ca, "server", ["other.example"]),
    }


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (UNKNOWN_CA, "make trust"),
        (EXPIRED, "clock"),
        (NOT_YET_VALID, "clock is behind"),
        (WRONG_NAME, "not the one that was meant"),
    ],
)
def test_a_certificate_that_does_not_prove_the_server(place, client, code, hint):
    async def scenario() -> None:
        settings = tls_settings(place, wrong_certificates(place)[code])
        with mosquitto(place.folder, *settings) as broker:
            config = place.config(broker.port, transport="tls")
            failed(await first_failure(client, config), code, hint)

    run(scenario)


@pytest.mark.parametrize("code", [UNKNOWN_CA, EXPIRED, NOT_YET_VALID, WRONG_NAME])
def test_the_reason_is_the_same_at_each_attempt(place, code):
    async def scenario() -> None:
        settings = tls_settings(place, wrong_certificates(place)[code])
        with mosquitto(place.folder, *settings) as broker:
            config = place.config(broker.port, transport="tls")
            async with DeviceProgram(PROGRAM, "tries", config) as dut:
                for _ in range(20):
                    assert (await dut.expect("offline"))["code"] == code
                dut.tell()
                await dut.end()
                assert not dut.of("online")

    run(scenario)


# Our certificate


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("what", ["missing", "of another CA", "expired", "with another key"])
def test_our_certificate_is_refused(place, client, what):
    device = issue(place.authority, "device", [CLIENT_ID])
    fields = place.device_files(device)
    if what == "missing":
        fields = {}
    elif what == "of another CA":
        fields = place.device_files(issue(make_authority("Other CA"), "device", [CLIENT_ID]))
    elif what == "expired":
        start = NOW - timedelta(days=7)
        expired = issue(place.authority, "device", [CLIENT_ID], valid_from=start, valid_days=6)
        fields = place.device_files(expired)
    else:
        other = issue(place.authority, "device", [CLIENT_ID])
        (place.folder / "device.key.der").write_bytes(other.key_der)

    async def scenario() -> None:
        with mosquitto(place.folder, *mutual_settings(place)) as broker:
            config = place.config(broker.port, transport="tls", **fields)
            failed(await first_failure(client, config), REFUSED_US, "certificate and key")

    run(scenario)


def test_openssl_refuses_a_device_without_certificate(place):
    arguments = (*certificate_arguments(place), "-CAfile", place.folder / "ca.pem", "-Verify", 1)

    async def scenario() -> None:
        with (
            mosquitto(place.folder) as broker,
            s_server(broker.plain_port, *arguments, "-verify_return_error") as port,
        ):
            config = place.config(port, transport="tls")
            failed(await first_failure("tries", config), REFUSED_US, "certificate and key")

    run(scenario)


def test_no_cipher_suite_in_common(place):
    arguments = (*certificate_arguments(place), "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305")

    async def scenario() -> None:
        with (
            mosquitto(place.folder) as broker,
            s_server(broker.plain_port, *arguments) as port,
        ):
            config = place.config(port, transport="tls")
            failed(await first_failure("tries", config), REFUSED_US, "cipher suite")

    run(scenario)


# Not TLS, not MQTT, nothing


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_without_tls(place, client):
    async def scenario() -> None:
        with mosquitto(place.folder) as broker:
            config = place.config(broker.port, transport="tls")
            failed(await first_failure(client, config), NOT_TLS, "8883")

    run(scenario)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("greeting", [b"", b"220 mail.example ESMTP\r\n", bytes(300)])
def test_a_server_of_another_kind(place, client, greeting):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if greeting:
            writer.write(greeting)
            await writer.drain()
            await reader.read(1000)
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(serve, HOST, 0) as server:
            config = place.config(server.sockets[0].getsockname()[1], transport="tls")
            failed(await first_failure(client, config), NOT_TLS, "8883")

    run(scenario)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_that_says_nothing(place, client):
    async def scenario() -> None:
        async with await silent_server() as server:
            config = place.config(server.sockets[0].getsockname()[1], transport="tls")
            times = ("CONNACK_MS=400", "TCP_CONNECT_MS=400")
            event = await first_failure(client, config, *times)
            assert (event["error"], event["typed"]) == ("DeadlineError", True)

    run(scenario)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "ProtocolError", "out of place"),
        (b"", "LinkError", "closed by the server"),
    ],
)
def test_tls_with_something_else_than_mqtt_in_it(place, client, answer, error, reason):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def scenario() -> None:
        async with await asyncio.start_server(serve, HOST, 0, ssl=context(place)) as server:
            config = place.config(server.sockets[0].getsockname()[1], transport="tls")
            event = await first_failure(client, config)
            assert (event["error"], event["typed"]) == (error, True)
            assert reason in event["reason"]

    run(scenario)


# What the device lacks


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("ca", "content", "reason"),
    [
        ("empty", None, "no .der file"),
        ("missing", None, "cannot be read"),
        ("pem.der", b"-----BEGIN CERTIFICATE-----\n", "is not DER"),
        ("junk.der", b"\x30junk", "is not a DER certificate"),
    ],
)
def test_anchors_that_cannot_be_used(place, client, ca, content, reason):
    (place.folder / "empty").mkdir()
    if content:
        (place.folder / ca).write_bytes(content)

    async def scenario() -> None:
        config = place.config(1, transport="tls", ca=str(place.folder / ca))
        event = await refusal(client, config)
        assert event["reason"].startswith("ca: ") and reason in event["reason"]

    run(scenario)


def test_one_anchor_may_be_a_file(place):
    async def scenario() -> None:
        with mosquitto(place.folder, *tls_settings(place)) as broker:
            anchor = str(place.folder / "trust/root.der")
            config = place.config(broker.port, transport="tls", ca=anchor)
            async with DeviceProgram(PROGRAM, "talks", config, 1) as dut:
                await dut.expect("ready")
                await finish(dut)

    run(scenario)


@pytest.mark.parametrize("field", ["certificate", "private_key"])
def test_a_certificate_of_our_own_that_cannot_be_used(place, field):
    junk = place.folder / "junk.der"
    junk.write_bytes(b"\x30junk")
    fields = place.device_files(issue(place.authority, "device", [CLIENT_ID]))

    async def scenario() -> None:
        for path, reason in ((junk, "must be DER"), (place.folder / "none", "cannot be read")):
            config = place.config(1, transport="tls", **{**fields, field: str(path)})
            assert reason in (await refusal("tries", config))["reason"]

    run(scenario)


def test_a_heap_in_pieces_is_told_before_the_handshake_and_heals(place):
    async def scenario() -> None:
        with mosquitto(place.folder, *tls_settings(place)) as broker:
            config = place.config(broker.port, transport="tls")
            async with DeviceProgram(PROGRAM, "tries_without_memory", config) as dut:
                assert (await dut.expect("fragmented"))["free"] > 100_000
                event = await dut.expect("offline")
                failed(event, OUT_OF_MEMORY, "before the application")
                dut.tell()
                await dut.expect("online")
                await dut.end()

    run(scenario)


# Others are not kept waiting


def test_a_slow_handshake_keeps_nobody_waiting(place):
    faults = Faults(Flow(delay_ms=30, bytes_per_s=3000), Flow(delay_ms=30, bytes_per_s=1500))

    async def scenario() -> None:
        with mosquitto(place.folder, *mutual_settings(place)) as broker:
            fields = place.device_files(issue(place.authority, "device", [CLIENT_ID]))
            async with FaultProxy((HOST, broker.port), faults) as proxy:
                config = place.config(proxy.port, transport="tls", **fields)
                start = asyncio.get_running_loop().time()
                async with DeviceProgram(PROGRAM, "talks", config, 1) as dut:
                    gap_ms = (await dut.expect("connected"))["largest_gap_ms"]
                    took_s = asyncio.get_running_loop().time() - start
                    await dut.expect("ready")
                    await finish(dut)
        print(f"handshake of {took_s:.2f} s: largest gap {gap_ms} ms")
        assert took_s > 0.7
        assert gap_ms < 150

    run(scenario)


def test_one_handshake_at_a_time(place):
    async def scenario() -> None:
        with mosquitto(place.folder, *tls_settings(place)) as broker:
            async with await silent_server() as silent, proxy_of(broker) as proxy:
                first = place.config(silent.sockets[0].getsockname()[1], transport="tls")
                second = place.config(proxy.port, transport="tls")
                async with DeviceProgram(
                    PROGRAM, "two_at_once", first, second, "CONNACK_MS=800"
                ) as dut:
                    await asyncio.sleep(0.5)
                    assert not proxy.links  # it waits for the first
                    await dut.expect("online")
                    assert [event["event"] for event in dut.events] == ["offline", "online"]
                    dut.tell()
                    await dut.end()

    run(scenario)


def test_a_login_that_takes_long_does_not_hold_up_a_handshake(place):
    async def scenario() -> None:
        with mosquitto(place.folder, *tls_settings(place)) as broker:
            async with await silent_server(context(place)) as silent:
                first = place.config(silent.sockets[0].getsockname()[1], transport="tls")
                second = place.config(broker.port, transport="tls")
                async with DeviceProgram(PROGRAM, "two_at_once", first, second) as dut:
                    await dut.expect("online", timeout_s=5)  # CONNACK_MS is 20 s
                    assert len(dut.events) == 1
                    dut.tell()
                    await dut.end()

    run(scenario)


def proxy_of(broker) -> FaultProxy:
    return FaultProxy((HOST, broker.port))


def context(place) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*place.server())
    return made


async def silent_server(tls: ssl.SSLContext | None = None) -> asyncio.Server:
    """Takes connections, and with `tls` completes the handshake; then it says nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        writer.close()

    return await asyncio.start_server(serve, HOST, 0, ssl=tls)
