"""A device whose clock is in 2000 logs in all the same, or says why not, as ARCHITECTURE.md has it
in its table; and each rung of the ladder to a plausible clock is climbed for real: MicroPython's
TLS checks certificates with a clock that libfaketime sets."""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from iothub.net.rtc import BUILD_UNIX_S
from iothub.port.files import Files
from iothub.signing import FAR_FUTURE_S
from iothub.store.journal import Journal

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run
from host_tests.e2e.sntp_server import BEHAVIOURS, SntpServer
from host_tests.peers.tls_servers import (
    PRODUCT_ID,
    Place,
    mosquitto,
    psk_settings,
    tls_settings,
)
from host_tests.unit.house.markdown import Paper, unquoted
from tools.hub import Hub, HubConfig
from tools.pki import issue, make_authority

pytestmark = requires("mosquitto", "faketime")

ROOT = Path(__file__).resolve().parents[2]
YEAR_2000_S = 946684800
# Certificates of a cloud in service when this firmware was made, and long after.
VALID_FROM = datetime.fromtimestamp(BUILD_UNIX_S, timezone.utc) - timedelta(days=10)
VALID_DAYS = 20 * 365
NOW_S = BUILD_UNIX_S + 30 * 86400
NOTED_S = BUILD_UNIX_S + 20 * 86400
NOT_YET_VALID = 2003

_WEBSOCKET = "protocol websockets"


def table() -> dict[str, tuple[bool, str]]:
    """{login: (whether it needs the clock, what comes of it in 2000)} as the paper says."""
    rows = Paper(ROOT / "ARCHITECTURE.md").table("Login")
    return {login.replace("`", ""): (clock == "yes", end) for login, clock, end in rows}


class Cloud:
    """mosquitto as the other side of each login."""

    def __init__(self, folder: Path) -> None:
        authority = make_authority("Clock CA", "rsa", VALID_FROM, VALID_DAYS)
        self._place = place = Place(folder, authority)
        (folder / "trust").mkdir()
        (folder / "trust/root.der").write_bytes(authority.certificate_der)
        (folder / "ca.pem").write_bytes(authority.certificate_pem)
        names = ["localhost", "127.0.0.1"]
        self._server = issue(authority, "server", names, VALID_FROM, VALID_DAYS, "rsa")
        device = issue(authority, "device", [PRODUCT_ID], VALID_FROM, VALID_DAYS, "rsa")
        self._device_files = place.device_files(device)

    @contextlib.contextmanager
    def takes(self, login: str) -> Iterator[Path]:
        """Listens for this kind of login; the device's configuration."""
        transport, by = login.split(", ")
        settings: list[str] = []
        if transport in ("ws", "wss"):
            settings.append(_WEBSOCKET)
        if transport == "psk":
            settings += psk_settings(self._place)
        elif transport in ("tls", "wss"):
            if transport == "tls" and by == "certificate":
                settings += [f"cafile {self._place.folder}/ca.pem", "require_certificate true"]
            settings += tls_settings(self._place, self._server)
        fields: dict[str, Any] = {"transport": transport, "websocket_path": "/mqtt"}
        if by == "certificate":
            fields |= self._device_files
        with mosquitto(self._place.folder, *settings) as broker:
            yield self._place.config(broker.port, **fields)


def in_2000(folder: Path, *arguments: object) -> DeviceProgram:
    """The device program with its clock at the beginning of 2000."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    clock_file = folder / "clock.txt"
    clock_file.write_text("@2000-01-01 00:00:00\n")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock_file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TZ": "UTC",
    }
    return DeviceProgram("time_program.py", *arguments, environment=environment)


@pytest.mark.parametrize("login", table())
def test_a_login_in_2000_ends_as_the_table_says(tmp_path, login):
    needs_clock, end = table()[login]

    async def scenario() -> None:
        with Cloud(tmp_path).takes(login) as config:
            async with in_2000(tmp_path, "log_in", config, tmp_path) as device:
                begins = await device.expect("begins")
                assert YEAR_2000_S <= begins["unix_s"] < YEAR_2000_S + 60
                assert begins["expiry_s"] == FAR_FUTURE_S
                result = await device.expect("login")
                if not needs_clock:
                    assert (end, result["outcome"]) == ("logs in", "online")
                    return
                error, code = unquoted(end.split(" ")[0]), int(end.split(" ")[1])
                assert (result["error"], result["code"]) == (error, code) == ("TlsError", 2003)
                assert result["reason"] == "the server's certificate is not valid yet"
                assert "clock is behind" in result["hint"]

    run(scenario)


def test_the_table_has_every_transport():
    transports = {login.split(",")[0] for login in table()}
    assert transports == {"tcp", "tls", "psk", "ws", "wss"}
    assert {login for login in table() if login.startswith(("tls", "wss"))} == {
        f"{transport}, {by}" for transport in ("tls", "wss") for by in ("secret", "certificate")
    }


# What helps: (how SNTP behaves, the time that was noted, what the clock is set to).
RUNGS = {
    "sntp": ("right", None, NOW_S),
    "last good time": ("silent", NOTED_S, NOTED_S),
    "build date": ("stratum_0", None, BUILD_UNIX_S),
}


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("login", [name for name, (clock, _) in table().items() if clock])
def test_each_rung_leads_to_a_login(tmp_path, login, rung):
    behaviour, noted_s, expected_s = RUNGS[rung]
    if noted_s is not None:
        journal = Journal(Files(str(tmp_path / "state")), "time")
        journal.save(noted_s.to_bytes(4, "big"))

    async def scenario() -> None:
        with Cloud(tmp_path).takes(login) as config:
            async with (
                SntpServer(NOW_S, behaviour) as sntp,
                in_2000(
                    tmp_path, "log_in", config, tmp_path, tmp_path / "clock.txt", sntp.port
                ) as device,
            ):
                assert (await device.expect("rtc_set"))["unix_s"] == expected_s
                assert (await device.expect("login"))["outcome"] == "online"
                assert len(sntp.requests) == 1

    run(scenario)


@pytest.mark.parametrize("transport", ["tcp", "psk"])
def test_the_hub_tells_the_time_after_a_login_that_needs_none(tmp_path, transport):
    async def scenario() -> None:
        async with Hub(HubConfig(mqtt_port=0, api_port=0, tls_port=0)) as hub:
            product_id = hub.registry.add_product("time").product_id
            secret = hub.registry.add_device(product_id, "dev01").secret
            place = Place(tmp_path, make_authority("None"))
            config = place.config(
                hub.address.port(transport) or 0,
                product_id=product_id,
                device_secret=secret,
                transport=transport,
            )
            clock_file = tmp_path / "clock.txt"
            async with in_2000(tmp_path, "log_in", config, tmp_path, clock_file) as device:
                assert (await device.expect("login"))["outcome"] == "online"
                rtc_set = await device.expect("rtc_set")
                assert abs(rtc_set["unix_s"] - time.time()) < 5
                clock_set = await device.expect("clock_set")
                assert abs(clock_set["unix_ms"] / 1000 - time.time()) < 5

    run(scenario)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_sntp_over_udp(behaviour):
    reasons = {
        "wrong_nonce": "sntp: not an answer to our request",
        "short": "sntp: not an answer to our request",
        "stratum_0": "sntp: the server has no time itself",
        "zero_time": "sntp: the server has no time itself",
        "unsynchronised": "sntp: the server has no time itself",
        "silent": "no SNTP answer in time",
    }

    async def scenario() -> None:
        async with (
            SntpServer(NOW_S, behaviour) as sntp,
            DeviceProgram("time_program.py", "ask_sntp", sntp.port) as device,
        ):
            if behaviour == "right":
                assert (await device.expect("answered"))["unix_s"] == NOW_S
            else:
                refused = await device.expect("refused")
                assert refused["typed"] and refused["reason"] == reasons[behaviour]
                expected = "DeadlineError" if behaviour == "silent" else "ProtocolError"
                assert refused["error"] == expected
            assert len(sntp.requests) == 1

    run(scenario)


def test_sntp_where_nobody_listens():
    async def scenario() -> None:
        async with SntpServer(NOW_S) as sntp:
            port = sntp.port
        async with DeviceProgram("time_program.py", "ask_sntp", port) as device:
            assert (await device.expect("refused"))["code"] == 111

    run(scenario)
