"""TLS by a pre-shared key, from the MicroPython interpreter, against mosquitto and openssl."""

import base64

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
    PSK_HEX,
    Place,
    certificate_arguments,
    mosquitto,
    psk_settings,
    s_server,
    tls_settings,
)

pytestmark = requires("mosquitto", "openssl")

CLIENTS = ["tries", "blocking"]
REFUSED_US, NOT_TLS = 2005, 2007
# The cloud's two suites, in openssl's names.
SUITES = ["PSK-AES128-CBC-SHA", "PSK-AES256-CBC-SHA"]


@pytest.fixture
def place(tmp_path):
    return Place.make(tmp_path)


@pytest.mark.parametrize("transport", ["psk", "auto"])
def test_psk_with_mosquitto(place, transport):
    async def scenario() -> None:
        with mosquitto(place.folder, *psk_settings(place)) as broker:
            told = await converse(place, broker, transport=transport)
            print(f"largest gap while connecting: {told['largest_gap_ms']} ms")

    run(scenario, 60)


@pytest.mark.parametrize("suite", SUITES)
def test_psk_with_openssl(place, suite):
    # Level 0: openssl holds CBC with SHA-1 for too weak at its default level.
    arguments = ("-nocert", "-psk", PSK_HEX, "-tls1_2", "-cipher", f"{suite}@SECLEVEL=0")

    async def scenario() -> None:
        with (
            mosquitto(place.folder) as broker,
            s_server(broker.plain_port, *arguments) as port,
        ):
            await converse_once(port, broker, place, transport="psk")

    run(scenario, 60)


def test_the_blocking_client(place):
    async def scenario() -> None:
        with mosquitto(place.folder, *psk_settings(place)) as broker:
            await talk_blocking(broker, place.config(broker.port, transport="psk"))

    run(scenario)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("what", ["key", "identity"])
def test_a_wrong_key_and_an_unknown_identity_are_refused(place, client, what):
    wrong = {"key_hex": "00" * 16} if what == "key" else {"identity": "PRODUCTID1dev02"}

    async def scenario() -> None:
        with mosquitto(place.folder, *psk_settings(place, **wrong)) as broker:
            config = place.config(broker.port, transport="psk")
            event = await first_failure(client, config)
            assert (event["error"], event["code"]) == ("TlsError", REFUSED_US)
            assert (event["phase"], event["typed"]) == ("tls", True)
            assert "secret (PSK)" in event["hint"]

    run(scenario)


def test_openssl_refuses_a_wrong_key(place):
    arguments = ("-nocert", "-psk", "00" * 16, "-tls1_2")

    async def scenario() -> None:
        with (
            mosquitto(place.folder) as broker,
            s_server(broker.plain_port, *arguments) as port,
        ):
            event = await first_failure("tries", place.config(port, transport="psk"))
            assert (event["error"], event["code"]) == ("TlsError", REFUSED_US)

    run(scenario)


def test_a_server_that_offers_a_certificate_instead_proves_nothing(place):
    async def scenario() -> None:
        with mosquitto(place.folder, *tls_settings(place)) as broker:
            event = await first_failure("tries", place.config(broker.port, transport="psk"))
            assert (event["error"], event["code"]) == ("TlsError", REFUSED_US)
        arguments = certificate_arguments(place)  # with a suite that PSK clients have too
        with (
            mosquitto(place.folder) as broker,
            s_server(broker.plain_port, *arguments, "-cipher", "AES128-SHA") as port,
        ):
            event = await first_failure("tries", place.config(port, transport="psk"))
            assert (event["error"], event["code"]) == ("TlsError", REFUSED_US)

    run(scenario)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_server_without_tls(place, client):
    async def scenario() -> None:
        with mosquitto(place.folder) as broker:
            event = await first_failure(client, place.config(broker.port, transport="psk"))
            assert (event["error"], event["code"]) == ("TlsError", NOT_TLS)

    run(scenario)


def test_a_firmware_without_psk_says_so_and_auto_takes_certificates(place):
    async def scenario() -> None:
        config = place.config(1, transport="psk")
        reason = (await refusal("tries_without_psk", config))["reason"]
        assert "MicroPython 1.29" in reason and '"tls" works here' in reason
        with mosquitto(place.folder, *tls_settings(place)) as broker:
            config = place.config(broker.port, transport="auto")
            async with DeviceProgram(PROGRAM, "tries_without_psk", config) as dut:
                assert (await dut.expect("online"))["transport"] == "tls"
                dut.tell()
                await dut.end()

    run(scenario)


def test_a_secret_too_long_for_psk(place):
    secret = base64.b64encode(bytes(range(33))).decode()

    async def scenario() -> None:
        config = place.config(1, transport="psk", device_secret=secret)
        event = await refusal("tries", config)
        assert event["reason"].startswith("device_secret: ") and "32 bytes" in event["reason"]
        assert secret not in str(event)
        with mosquitto(place.folder, *tls_settings(place)) as broker:
            config = place.config(broker.port, transport="auto", device_secret=secret)
            async with DeviceProgram(PROGRAM, "talks", config, 1) as dut:
                assert (await dut.expect("online"))["transport"] == "tls"
                await dut.expect("ready")
                await finish(dut)

    run(scenario)


def test_a_secret_of_the_longest_length(place):
    key = bytes(range(32))
    secret = base64.b64encode(key).decode()

    async def scenario() -> None:
        with mosquitto(place.folder, *psk_settings(place, key_hex=key.hex())) as broker:
            config = place.config(broker.port, transport="psk", device_secret=secret)
            async with DeviceProgram(PROGRAM, "talks", config, 1) as dut:
                await dut.expect("ready")
                await finish(dut)

    run(scenario)
