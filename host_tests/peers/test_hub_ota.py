"""Updates from the hub: by its commands and its API, with its faults, to our device and to the
vendor's; and one with the link cut twice and the device killed once."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run, until
from host_tests.peers.ota_bench import TRAILER_BYTES, Device, Firmware, bytes_read
from host_tests.peers.tls_servers import HOST, Place
from tools.faults import Cut, FaultProxy
from tools.hub import cli
from tools.hub.app import Hub
from tools.hub.application import publish
from tools.hub.config import HubConfig
from tools.hub.identity import Identity
from tools.hub.ota.updates import Update
from tools.pki import make_authority

IMAGE_BYTES = 200_000
INTERVAL = 32 * 1024
STALL = "HTTP_STALL_MS=300"


@dataclass
class Desk:
    """A hub with one device that runs 0.1, and 0.2 uploaded for it."""

    hub: Hub
    firmware: Firmware
    identity: Identity
    device: Device

    def roll_out(self) -> None:
        self.hub.broker.updates.roll_out(self.identity.product_id, "0.2")

    def arm(self, kind: str, count: int | None = 1, **parameters: Any) -> None:
        self.hub.faults.arm(kind, self.identity.path, count, parameters)

    @property
    def update(self) -> Update:
        (update,) = self.hub.broker.updates.progress(self.identity.product_id)
        return update

    def events(self, action: str) -> list[dict[str, Any]]:
        rows = self.hub.store.query("SELECT detail FROM event WHERE kind = 'ota' ORDER BY id")
        found = [json.loads(detail) for (detail,) in rows]
        return [detail for detail in found if detail["action"] == action]

    def served(self) -> list[tuple[int, int, int]]:
        """(status, first byte, bytes sent) of each answer of the file server."""
        return [(e["status"], e.get("first", -1), e["sent"]) for e in self.events("served")]

    async def is_installed(self, device: DeviceProgram) -> dict[str, Any]:
        installed = await device.expect("installed")
        assert self.device.downloaded == self.firmware.image
        await until(lambda: self.update.state == "burning")
        return installed

    async def failed(self) -> Update:
        await until(lambda: self.update.state == "fail", 20)
        return self.update


@contextlib.asynccontextmanager
async def desk_at(folder: Path, **http: Any) -> AsyncIterator[Desk]:
    data = folder / "hub"
    data.mkdir()
    config = HubConfig(mqtt_port=0, api_port=0, http_port=0, https_port=0, data=data)
    async with Hub(config) as hub:
        product = hub.registry.add_product("lamps", "key", "gateway").product_id
        made = hub.registry.add_device(product, "dev01")
        firmware = Firmware.make(IMAGE_BYTES, product=product)

        async def content() -> AsyncIterator[bytes]:
            yield firmware.content

        await hub.broker.updates.library.add(product, "0.2", content())
        trust = folder / "trust"
        trust.mkdir()
        (trust / "hub.der").write_bytes(hub.authority.certificate_der)
        fields = {
            "transport": "tcp",
            "product_id": product,
            "device_secret": made.secret,
            "clean_session": True,
        }
        place = Place(folder, make_authority("unused", "ec"))
        yield Desk(hub, firmware, made.identity, Device(place, hub.mqtt_port, http, fields=fields))


def at_desk(folder, scenario, deadline_s=30.0, **http):
    async def whole() -> None:
        async with desk_at(folder, **http) as desk:
            await scenario(desk)

    run(whole, deadline_s)


def test_an_update_over_https_from_roll_out_to_done(tmp_path):
    async def scenario(desk: Desk) -> None:
        async with desk.device.start() as device:
            await device.expect("online")
            await until(lambda: desk.hub.broker.updates.running(desk.identity) == "0.1")
            desk.roll_out()
            installed = await desk.is_installed(device)
            assert installed["read"] == len(desk.firmware.content)
            assert desk.served() == [(206, IMAGE_BYTES, TRAILER_BYTES), (206, 0, IMAGE_BYTES)]
            percents = [e["percent"] for e in desk.events("downloading")]
            assert (percents[0], percents[-1]) == (0, 100)
        async with desk.device.start("0.2") as device:
            await device.expect("online")
            device.tell("settle")
            await until(lambda: desk.update.state == "done")
            assert len(desk.events("done")) == 1

    at_desk(tmp_path, scenario)


def test_the_link_cut_twice_and_the_device_killed_once(tmp_path):
    async def scenario(desk: Desk) -> None:
        desk.device.app = {"bytes_per_s": 100_000}
        total = 0
        async with (
            FaultProxy((HOST, desk.hub.address.ports["https"])) as files,
            FaultProxy((HOST, desk.hub.mqtt_port)) as mqtt,
        ):
            desk.hub.address.ports["https"] = files.port
            desk.device.port = mqtt.port
            desk.roll_out()
            commanding = asyncio.create_task(command_for_ever(desk))
            async with desk.device.start() as device:
                await until(partial(has_come_to, device, 50_000))
                for each in (files, mqtt):
                    each.cut(Cut.RST)
                await asyncio.sleep(0.2)
                for each in (files, mqtt):
                    each.heal()
                await until(partial(has_come_to, device, 90_000))
                assert len(device.of("online")) == 2
                # Killed here.
            commands = len(device.of("command"))
            assert commands >= 3
            total += bytes_read(device)
            async with desk.device.start() as device:
                await until(partial(has_come_to, device, 130_000))
                files.cut(Cut.FIN)
                files.heal()
                installed = await desk.is_installed(device)
                assert len(device.of("command")) >= 3
                assert installed["records"] <= IMAGE_BYTES // INTERVAL + 2
            total += bytes_read(device)
            commanding.cancel()
            # Of the three cuts only the one of the power loses what was read.
            assert total <= len(desk.firmware.content) + INTERVAL
            resumed = [first for _, first, _ in desk.served()[2:]]
            assert resumed == sorted(resumed) and resumed[0] > 0
            async with desk.device.start("0.2") as device:
                await device.expect("online")
                device.tell("settle")
                await until(lambda: desk.update.state == "done")

    at_desk(tmp_path, scenario, 40.0)


def has_come_to(device: DeviceProgram, offset: int) -> bool:
    return any(event["fetched"] >= offset for event in device.of("at"))


async def command_for_ever(desk: Desk) -> None:
    """The application goes on with its work."""
    topic = f"{desk.identity.path}/control"
    for number in range(1000):
        publish(desk.hub.broker, desk.hub.registry, topic, str(number).encode(), 0)
        await asyncio.sleep(0.1)


# A fault, with its parameters, that an update survives: what the file server answered.
SURVIVED = {
    "cut": ("ota_cut", 2, {"bytes": 50_000}),
    "cut at once": ("ota_cut", 3, {"bytes": 0}),
    "stall": ("ota_stall", 2, {"bytes": 60_000, "duration_ms": 2000}),
    "no range": ("ota_no_range", None, {}),
    "wrong range": ("ota_wrong_range", 2, {"shift": 10}),
    "403": ("ota_status", 2, {"status": 403}),
    "503": ("ota_status", 3, {"status": 503}),
    "expired": ("ota_expired", 2, {}),
    "truncated": ("ota_truncate", 2, {"bytes": 1000}),
    "slow": ("ota_slow", 1, {"bytes_per_s": 1_000_000}),
}


@pytest.mark.parametrize("name", SURVIVED)
def test_a_fault_that_an_update_survives(tmp_path, name):
    kind, count, parameters = SURVIVED[name]

    async def scenario(desk: Desk) -> None:
        desk.arm(kind, count, **parameters)
        desk.roll_out()
        async with desk.device.start("0.1", STALL) as device:
            await desk.is_installed(device)
        struck = desk.hub.store.query(
            "SELECT COUNT(*) FROM event WHERE kind = 'fault' AND detail LIKE '%struck%'"
        )[0][0]
        assert struck >= (count or 1)
        if kind == "ota_status" and parameters["status"] == 403:
            assert len(desk.events("runs")) == 3  # each time a new address was asked for

    at_desk(tmp_path, scenario, transport="https")


# A fault that it does not survive: the code that the cloud is told.
NOT_SURVIVED = {
    "404": ("ota_status", {"status": 404}, -2),
    "403 for ever": ("ota_status", {"status": 403}, -3),
    "503 for ever": ("ota_status", {"status": 503}, -1),
    "wrong MD5": ("ota_wrong_md5", {}, -4),
    "expired for ever": ("ota_expired", {}, -3),
    "cut for ever": ("ota_cut", {"bytes": 0}, -1),
}


@pytest.mark.parametrize("name", NOT_SURVIVED)
def test_a_fault_that_ends_it(tmp_path, name):
    kind, parameters, code = NOT_SURVIVED[name]

    async def scenario(desk: Desk) -> None:
        desk.arm(kind, None, **parameters)
        desk.roll_out()
        async with desk.device.start("0.1", STALL) as device:
            assert (await desk.failed()).result_code == code
            error = await device.expect("error")
            assert error["typed"]
        # Once it is gone, the next report of the version brings the update again.
        desk.hub.faults.clear()
        async with desk.device.start() as device:
            await desk.is_installed(device)

    at_desk(tmp_path, scenario)


def test_a_gateway_updates_its_sub_device_too(tmp_path):
    async def scenario(desk: Desk) -> None:
        hub, updates = desk.hub, desk.hub.broker.updates
        meters = hub.registry.add_product("meters").product_id
        meter = hub.registry.add_device(meters, "meter").identity
        firmware = Firmware.make(50_000, "0.2", 5, meters)

        async def content() -> AsyncIterator[bytes]:
            yield firmware.content

        await updates.library.add(meters, "0.2", content())
        hub.broker.services.topology.bind_all(desk.identity, [meter])
        desk.roll_out()
        updates.roll_out(meters, "0.2")
        desk.device.app = {"sub_device": [meters, "meter"]}
        async with desk.device.start() as device:
            await device.expect("sub-device settled")
            assert (desk.device.flash / "sub-download").read_bytes() == firmware.image
            await until(lambda: updates.running(meter) == "0.2")
            (update,) = updates.progress(meters)
            assert update.state == "done"
            await until(lambda: device.of("installed"))
            assert desk.device.downloaded == desk.firmware.image
            assert updates.running(desk.identity) == "0.1"

    at_desk(tmp_path, scenario)


def test_plain_http_is_for_who_says_so(tmp_path):
    async def scenario(desk: Desk) -> None:
        desk.hub.broker.updates.roll_out(desk.identity.product_id, "0.2", plain_http=True)
        async with desk.device.start():
            assert (await desk.failed()).result_code == -5
            assert desk.served() == []
        desk.device.http = {"transport": "http"}
        async with desk.device.start() as device:
            await desk.is_installed(device)

    at_desk(tmp_path, scenario)


def test_by_command(tmp_path, capsys):
    async def scenario(desk: Desk) -> None:
        product = desk.identity.product_id

        async def hub(*arguments: str, status: int = 0) -> str:
            given = ["ota", *arguments, "--api-port", str(desk.hub.api_port)]
            assert await asyncio.to_thread(cli.main, given) == status
            printed = capsys.readouterr()
            return str(printed.err if status and not printed.out else printed.out)

        path = tmp_path / "firmware.bin"
        newer = Firmware.make(IMAGE_BYTES, "0.3", 3, product)
        path.write_bytes(newer.content)
        shown = json.loads(await hub("upload", product, "0.3", str(path), "--json"))
        assert (shown["version"], shown["size"]) == ("0.3", len(newer.content))
        assert "0.3" in await hub("upload", product, "0.3", str(path))
        listed = json.loads(await hub("list", product, "--json"))["firmware"]
        assert [each["version"] for each in listed] == ["0.2", "0.3"]
        assert "no such file" in await hub("upload", product, "1", "missing.bin", status=1)
        await hub("remove", product, "0.2")
        assert "no version 0.2" in await hub("roll-out", product, "0.2", status=1)
        out = await hub("roll-out", product, "0.3", "--share-percent", "100")
        assert f"{product}/dev01" in out and "rolled out" in out
        desk.firmware = newer
        async with desk.device.start() as device:
            await desk.is_installed(device)
        following = asyncio.create_task(hub("progress", product, "--follow"))
        async with desk.device.start("0.3") as device:
            await device.expect("online")
            device.tell("settle")
            assert "done" in await following
        shown = json.loads(await hub("progress", product, "--json"))
        assert [(u["state"], u["running"]) for u in shown["updates"]] == [("done", "0.3")]
        await hub("withdraw", product, "dev01")
        assert json.loads(await hub("progress", product, "--json")) == {"updates": []}
        await hub("roll-out", product, "0.3", "--device", "dev01")
        desk.hub.broker.updates.reported(
            desk.identity, "0.3", Update(desk.identity, "0.3", "fail", 0, -5, "why")
        )
        assert "fail -5: why" in await hub("progress", product, status=1)

    at_desk(tmp_path, scenario, 40.0)
