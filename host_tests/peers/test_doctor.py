"""The doctor (iothub/doctor.py) under MicroPython: each stage failing for real, and nothing said
about the later ones but that they were not tried."""

import json
import os
import socket
import subprocess
import time
from datetime import datetime, timezone

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import MICROPYTHON, ROOT, SCRIPTS
from host_tests.peers.tls_servers import (
    DEVICE_SECRET,
    HOST,
    PSK_HEX,
    Place,
    free_port,
    mosquitto,
    password_settings,
    psk_settings,
    tls_settings,
)
from tools.pki import issue

pytestmark = requires("mosquitto")

STAGES = ["configuration", "network", "name", "port", "TLS", "WebSocket", "clock", "login"]
IN_2019 = int(datetime(2019, 7, 1, tzinfo=timezone.utc).timestamp())
TIMEOUT_S = 60
CONNECT_MS = 2000


@pytest.fixture
def place(tmp_path):
    return Place.make(tmp_path)


def examined(path, *arguments: object, clock_unix_s: float | None = None):
    """(whether all is well, {stage: what was said}) of a run."""
    clock = int(time.time() if clock_unix_s is None else clock_unix_s)
    words = map(str, (path, clock, CONNECT_MS, *arguments))
    done = subprocess.run(
        [MICROPYTHON, SCRIPTS / "doctor_program.py", *words],
        env={**os.environ, "MICROPYPATH": f".frozen:{ROOT / 'firmware/lib'}"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert DEVICE_SECRET not in done.stdout and PSK_HEX not in done.stdout
    said: dict[str, str] = {}
    stage = ""
    for line in done.stdout.splitlines():
        stage = line[:15].strip() or stage
        said[stage] = (said.get(stage, "") + " " + line[15:]).strip()
    return done.returncode == 0, said


def assert_failed(outcome, stage: str, *words: str) -> None:
    """All before `stage` is well, and all after it was not tried."""
    well, said = outcome
    assert not well
    at = STAGES.index(stage)
    assert all(said[earlier].startswith("ok: ") for earlier in STAGES[:at]), said
    assert said[stage].startswith("failed: "), said
    for word in words:
        assert word in said[stage]
    later = STAGES[at + 1 :]
    assert said.get("not tried", "") == ", ".join(later)
    assert not set(later) & set(said)


@pytest.mark.parametrize("transport", ["psk", "tls", "ws", "wss", "tcp", "auto"])
def test_a_device_that_is_well(place, transport):
    settings = {
        "psk": psk_settings(place),
        "auto": psk_settings(place),
        "tls": tls_settings(place),
        "wss": ["protocol websockets", *tls_settings(place)],
        "ws": ["protocol websockets"],
        "tcp": [],
    }[transport]
    with mosquitto(place.folder, *settings) as broker:
        well, said = examined(place.config(broker.port, transport=transport))
    assert well
    assert list(said) == STAGES
    assert all(text.startswith("ok: ") for text in said.values())
    expected = "psk" if transport == "auto" else transport
    assert said["configuration"] == f"ok: PRODUCTID1/dev01 by {expected}"


def test_the_command(place):
    with mosquitto(place.folder) as broker:
        path = place.config(broker.port, transport="tcp")
        for device, status in ((path, 0), (place.folder / "missing.json", 2)):
            done = subprocess.run(
                ["make", "--silent", "doctor", f"DEVICE={device}"],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
            assert done.returncode == status, done.stdout + done.stderr
    assert "configuration  failed: " in done.stdout and "missing.json" in done.stdout


def test_a_wrong_configuration(place):
    path = place.config(1, transport="tls")
    fields = json.loads(path.read_text())
    del fields["device_secret"]
    path.write_text(json.dumps(fields))
    assert_failed(examined(path), "configuration", "device_secret: is missing")
    path = place.config(1, transport="tls", ca=str(place.folder / "none"))
    assert_failed(examined(path), "configuration", "ca: ", "cannot be read")


def test_no_network(place):
    path = place.config(1, transport="tcp")
    outcome = examined(path, "Wi-Fi: wrong password")
    assert_failed(outcome, "network", "Wi-Fi: wrong password")


def test_an_unknown_name(place):
    path = place.config(1, transport="tcp", host="no-such-host.invalid")
    assert_failed(examined(path), "name", "no-such-host.invalid", "check host, region and DNS")


def test_a_port_where_nobody_listens(place):
    path = place.config(free_port(), transport="tls")
    assert_failed(examined(path), "port", "refused", "Nothing listens there")


def test_a_server_without_tls_and_one_with_a_wrong_name(place):
    with mosquitto(place.folder) as broker:
        path = place.config(broker.port, transport="tls")
        assert_failed(examined(path), "TLS", "ended during the handshake", "8883 is TLS")
    stranger = issue(place.authority, "server", ["other.example"])
    with mosquitto(place.folder, *tls_settings(place, stranger)) as broker:
        path = place.config(broker.port, transport="tls")
        assert_failed(examined(path), "TLS", "another name", "host and region")


def test_a_wrong_key(place):
    with mosquitto(place.folder, *psk_settings(place, key_hex="00" * 16)) as broker:
        path = place.config(broker.port, transport="psk")
        assert_failed(examined(path), "TLS", "refused our certificate or key", "secret (PSK)")


@pytest.mark.parametrize("transport", ["ws", "wss"])
def test_a_server_without_websocket(place, transport):
    settings = tls_settings(place) if transport == "wss" else []
    with mosquitto(place.folder, *settings) as broker:
        path = place.config(broker.port, transport=transport)
        assert_failed(examined(path), "WebSocket", "failed: ")


def test_a_clock_that_nothing_can_set(place):
    # The server's certificate is fine by the computer's clock, which TLS reads here.
    with mosquitto(place.folder, *tls_settings(place)) as broker:
        path = place.config(broker.port, transport="tls", sntp=HOST)
        outcome = examined(path, clock_unix_s=IN_2019)
        assert_failed(outcome, "clock", "2019-07-01", "certificate")


@pytest.mark.parametrize("transport", ["psk", "tcp"])
def test_a_clock_that_is_wrong_where_none_is_needed(place, transport):
    settings = psk_settings(place) if transport == "psk" else []
    with mosquitto(place.folder, *settings) as broker:
        path = place.config(broker.port, transport=transport)
        well, said = examined(path, clock_unix_s=IN_2019)
    assert well and "2019-07-01" in said["clock"] and "not needed" in said["clock"]


@pytest.mark.parametrize("transport", ["tls", "wss", "tcp"])
def test_a_refused_login(place, transport):
    settings = password_settings(place, "somebody", "else")
    if transport != "tcp":
        settings += tls_settings(place)
    if transport == "wss":
        settings.append("protocol websockets")
    with mosquitto(place.folder, *settings, anonymous=False) as broker:
        path = place.config(broker.port, transport=transport)
        assert_failed(examined(path), "login", "CONNACK 5", "device is enabled")


def test_a_server_that_takes_connections_and_says_nothing(place):
    with socket.create_server((HOST, 0)) as silent:
        path = place.config(silent.getsockname()[1], transport="tls")
        assert_failed(examined(path), "TLS", "failed: ")
