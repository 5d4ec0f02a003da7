"""Every transport and login of a Device against the hub, and what the doctor says of each: by
secret, and by certificates of both kinds."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from host_tests.e2e.device_program import MICROPYTHON, ROOT, DeviceProgram
from host_tests.e2e.scenario import run, until
from tools.hub import Hub, HubConfig
from tools.hub.application import publish
from tools.hub.provisioning import Provisioning, address_settings, identity_settings
from tools.hub.registry import Device
from tools.pki import issue, make_authority
from tools.pki.issuing import Kind

TIMEOUT_S = 30
PAYLOAD = "22.5 °C".encode()
STAGES = ["configuration", "network", "name", "port", "TLS", "WebSocket", "clock", "login"]
# As `make doctor` runs it.
_DOCTOR = "import sys; from iothub import doctor; sys.exit(0 if doctor.run(sys.argv[1]) else 1)"


# Where the transport's name is another.
LISTENERS = {"auto": "tls", "psk": "tls"}


class Way(NamedTuple):
    """`login` is "secret", or the kind of a certificate's key; `by` the transport it comes to."""

    transport: str
    login: str
    by: str


WAYS = [
    Way("tcp", "secret", "tcp"),
    Way("psk", "secret", "psk"),
    Way("tls", "secret", "tls"),
    Way("ws", "secret", "ws"),
    Way("wss", "secret", "wss"),
    Way("auto", "secret", "psk"),
    Way("tls", "ec", "tls"),
    Way("tls", "rsa", "tls"),
    Way("auto", "ec", "tls"),
    Way("wss", "rsa", "wss"),
]
CERTIFIED = [way for way in WAYS if way.login != "secret" and way.transport != "auto"]


def _id(way: Way) -> str:
    return f"{way.transport}, {way.login}"


each_way = pytest.mark.parametrize("way", WAYS, ids=_id)
each_certified = pytest.mark.parametrize("way", CERTIFIED, ids=_id)


class Desk:
    """A hub with products of both logins; `config()` writes a device.json as the hub would."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        self.folder = folder

    async def device(self, login: str, name: str = "dev01") -> Device:
        """A new one, in a product of its own."""
        registry = self.hub.registry
        auth = "key" if login == "secret" else "cert"
        product_id = registry.add_product(f"of {name}", auth=auth).product_id
        if auth == "key":
            return registry.add_device(product_id, name)
        kind: Kind = "ec" if login == "ec" else "rsa"
        provisioning: Provisioning = self.hub.provisioning
        return (await provisioning.add_device(product_id, name, kind)).device

    def config(self, device: Device, transport: str, **changes: Any) -> Path:
        """`changes` are fields of it."""
        listener = LISTENERS.get(transport, transport)
        settings = identity_settings(device.identity)
        settings |= address_settings(self.hub.address, listener, self.folder)
        settings["transport"] = transport
        if device.secret is not None:
            settings["device_secret"] = device.secret
        else:
            files = self.folder / "devices" / device.identity.path
            settings["certificate"] = str(files / "certificate.der")
            settings["private_key"] = str(files / "private_key.der")
        path = self.folder / "device.json"
        path.write_text(json.dumps(settings | changes))
        return path

    def events(self, kind: str) -> list[dict[str, Any]]:
        rows = self.hub.store.query("SELECT detail FROM event WHERE kind = ? ORDER BY id", (kind,))
        return [json.loads(detail) for (detail,) in rows]


@contextlib.asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[Desk]:
    (folder / "flash").mkdir()
    config = HubConfig(mqtt_port=0, tls_port=0, ws_port=0, wss_port=0, api_port=0, data=folder)
    async with Hub(config) as hub:
        yield Desk(hub, folder)


async def examined(path: Path) -> tuple[bool, dict[str, str]]:
    """(whether all is well, {stage: what the doctor said})."""
    process = await asyncio.create_subprocess_exec(
        *(MICROPYTHON, "-c", _DOCTOR, path),
        cwd=path.parent / "flash",
        env={**os.environ, "MICROPYPATH": f".frozen:{ROOT / 'firmware/lib'}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(TIMEOUT_S):
        output, _ = await process.communicate()
    said: dict[str, str] = {}
    stage = ""
    for line in output.decode().splitlines():
        stage = line[:15].strip() or stage
        said[stage] = (said.get(stage, "") + " " + line[15:]).strip()
    return process.returncode == 0, said


# What works


@each_way
def test_a_device_logs_in_hears_and_tells_and_the_doctor_agrees(tmp_path, way):
    async def scenario() -> None:
        async with desk(tmp_path) as on_desk:
            device = await on_desk.device(way.login)
            path = device.identity.path
            config = on_desk.config(device, way.transport)
            well, said = await examined(config)
            assert well and list(said) == STAGES, said
            assert said["configuration"] == f"ok: {path} by {way.by}"
            hub = on_desk.hub
            async with DeviceProgram("way_program.py", config, tmp_path / "flash") as dut:
                assert (await dut.expect("online"))["transport"] == way.by
                await until(lambda: on_desk.events("subscribe"))
                publish(hub.broker, hub.registry, f"{path}/control", PAYLOAD, 1)
                await dut.expect("echoed")
                dut.tell()
                assert (await dut.expect("stopped"))["acknowledged"] == 1
                await dut.end()
            heard = hub.store.query("SELECT topic, payload FROM message")
            assert (f"{path}/event", PAYLOAD) in heard
            connects = on_desk.events("connect")
            assert {each["transport"] for each in connects} == {LISTENERS.get(way.by, way.by)}
            proved = {"psk": "psk"}.get(way.by, None if way.login == "secret" else "certificate")
            assert [each["proved_by"] for each in connects] == [proved, proved]
            assert not on_desk.events("refused") and not dut.of("offline")

    run(scenario)


# What does not


async def fails(on_desk: Desk, config: Path, event: str = "offline") -> dict[str, Any]:
    """How the device tells its failure."""
    async with DeviceProgram("way_program.py", config, on_desk.folder / "flash") as dut:
        return await dut.expect(event)


@each_certified
def test_a_certificate_of_another_device_is_refused(tmp_path, way):
    async def scenario() -> None:
        async with desk(tmp_path) as on_desk:
            device = await on_desk.device(way.login)
            other = await on_desk.device(way.login, "other")
            files = tmp_path / "devices" / other.identity.path
            config = on_desk.config(
                device,
                way.transport,
                certificate=str(files / "certificate.der"),
                private_key=str(files / "private_key.der"),
            )
            failed = await fails(on_desk, config)
            assert failed["error"] == "LoginRefused" and failed["code"] in (4, 5), failed
            well, said = await examined(config)
            assert not well and said["login"].startswith("failed: "), said
            assert said["TLS"] == "ok: the server is the one that was meant"
            assert not on_desk.events("connect")

    run(scenario)


@each_certified
def test_a_certificate_of_a_foreign_authority_is_refused(tmp_path, way):
    async def scenario() -> None:
        async with desk(tmp_path) as on_desk:
            device = await on_desk.device(way.login)
            forged = issue(
                make_authority("Somebody"),
                "device",
                [device.identity.client_id],
                kind="ec" if way.login == "ec" else "rsa",
            )
            (tmp_path / "forged.crt").write_bytes(forged.certificate_der)
            (tmp_path / "forged.key").write_bytes(forged.key_der)
            config = on_desk.config(
                device,
                way.transport,
                certificate=str(tmp_path / "forged.crt"),
                private_key=str(tmp_path / "forged.key"),
            )
            failed = await fails(on_desk, config)
            assert (failed["error"], failed["code"]) == ("TlsError", 2005)
            assert "certificate and key" in failed["hint"]
            well, said = await examined(config)
            assert not well and "refused our certificate" in said["TLS"]
            assert said["not tried"] == "WebSocket, clock, login"
            assert not on_desk.events("connect")

    run(scenario)


@each_certified
def test_a_hub_of_a_foreign_authority_is_not_believed(tmp_path, way):
    async def scenario() -> None:
        async with desk(tmp_path) as on_desk:
            device = await on_desk.device(way.login)
            (tmp_path / "foreign.der").write_bytes(make_authority("Somebody").certificate_der)
            config = on_desk.config(device, way.transport, ca=str(tmp_path / "foreign.der"))
            failed = await fails(on_desk, config)
            assert (failed["error"], failed["code"]) == ("TlsError", 2001)
            assert "make trust" in failed["hint"]
            well, said = await examined(config)
            assert not well and "unknown CA" in said["TLS"]
            assert said["not tried"] == "WebSocket, clock, login"
            assert not on_desk.events("connect")

    run(scenario)


def test_an_ec_key_cannot_sign_for_wss_and_nothing_is_sent(tmp_path):
    async def scenario() -> None:
        async with desk(tmp_path) as on_desk:
            config = on_desk.config(await on_desk.device("ec"), "wss")
            refused = await fails(on_desk, config, "refused")
            assert "private_key: is not an RSA private key" in refused["reason"]
            well, said = await examined(config)
            assert not well and "not an RSA private key" in said["configuration"]
            assert not on_desk.events("handshake") and not on_desk.events("connect")

    run(scenario)


@pytest.mark.parametrize("way", [WAYS[1], *CERTIFIED], ids=_id)
def test_a_device_that_is_switched_off_is_told_so(tmp_path, way):
    async def scenario() -> None:
        async with desk(tmp_path) as on_desk:
            device = await on_desk.device(way.login)
            on_desk.hub.registry.set_enabled(device, False)
            well, said = await examined(on_desk.config(device, way.transport))
            assert not well
            assert "CONNACK 5" in said["login"] and "device is enabled" in said["login"]
            assert [each["reason"] for each in on_desk.events("refused")] == ["device is disabled"]

    run(scenario)
