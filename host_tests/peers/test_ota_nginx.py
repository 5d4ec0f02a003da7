"""Updates against nginx: every answer of a file server that update/download.py has a row for, and
what the device tells the cloud about it."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run, until
from host_tests.peers.ota_bench import TRAILER_BYTES, Cloud, Device, Firmware, bytes_read
from host_tests.peers.ota_servers import FileServer, file_server
from host_tests.peers.tls_servers import HOST, Place
from tools.bench.mosquitto import Mosquitto
from tools.faults import Cut, FaultProxy, Faults, Flow

pytestmark = requires("nginx", "mosquitto")

FIRMWARE = Firmware.make(200_000)
OTHER = Firmware.make(200_000, seed=2)
SIZE = len(FIRMWARE.content)
IMAGE = len(FIRMWARE.image)
INTERVAL = 32 * 1024
SEEDS = 6
SWEEP_SEEDS = 60
STALL = "HTTP_STALL_MS=300"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place.make(tmp_path_factory.mktemp("ota"))


@pytest.fixture(scope="module")
def files(place):
    with file_server(place, SIZE) as server:
        yield server


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@dataclass
class Desk:
    """One file on the server, the cloud, and a device that was offered nothing yet."""

    name: str
    files: FileServer
    cloud: Cloud
    device: Device

    def publish(self, firmware: Firmware = FIRMWARE) -> None:
        """Puts the file on the server in the place of the one there, with another ETag."""
        path = self.files.files / self.name
        older_s = path.stat().st_mtime if path.exists() else 1.7e9
        new = path.with_suffix(".new")  # what is being sent stays what it is
        new.write_bytes(firmware.content)
        os.utime(new, (older_s + 5, older_s + 5))
        new.replace(path)

    def url(self, location: str = "files", tls: bool = False, port: int = 0) -> str:
        scheme, usual = ("https", self.files.tls_port) if tls else ("http", self.files.port)
        return f"{scheme}://{HOST}:{port or usual}/{location}/{self.name}"

    def offer(self, url: str, firmware: Firmware = FIRMWARE, **other: Any) -> None:
        self.cloud.offer = firmware.message(url, **other)

    def requests(self) -> list[tuple[int, str]]:
        return [(r.status, r.range) for r in self.files.requests(self.name)]


@contextlib.asynccontextmanager
async def desk(request, place, files, broker, tmp_path) -> AsyncIterator[Desk]:
    name = "".join(c for c in request.node.name if c.isalnum())
    own = Place(tmp_path, place.authority)
    (tmp_path / "trust").symlink_to(place.folder / "trust")
    fields = {"transport": "tcp", "clean_session": True}
    async with Cloud(broker.port) as cloud:
        made = Desk(name, files, cloud, Device(own, broker.port, fields=fields))
        made.publish()
        yield made


@pytest.fixture
def at_the_desk(request, place, files, broker, tmp_path):
    """Runs a scenario(desk)."""

    def go(scenario, deadline_s=30.0):
        async def whole() -> None:
            async with desk(request, place, files, broker, tmp_path) as made:
                await scenario(made)

        run(whole, deadline_s)

    return go


async def is_installed(desk: Desk, device: DeviceProgram, firmware: Firmware = FIRMWARE):
    installed = await device.expect("installed")
    assert desk.device.downloaded == firmware.image
    assert installed["version"] == firmware.version
    await desk.cloud.told("burning")
    assert {p["result_code"] for p in desk.cloud.progress} == {"0"}
    return installed


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_an_update_as_it_should_be(at_the_desk, tls):
    async def scenario(desk: Desk) -> None:
        if tls:
            desk.device.http = {}
        desk.offer(desk.url(tls=tls))
        async with desk.device.start() as device:
            installed = await is_installed(desk, device)
            assert installed["read"] == SIZE  # each byte once, the trailer first
            assert desk.requests() == [(206, "bytes=-512"), (206, f"bytes=0-{IMAGE - 1}")]
            connections = {r.connection for r in desk.files.requests(desk.name)}
            assert len(connections) == 1
            assert desk.cloud.states == ["downloading", "burning"]
            percents = [p["percent"] for p in desk.cloud.progress if p["state"] == "downloading"]
            assert (percents[0], percents[-1]) == ("0", "100")
            assert installed["records"] == IMAGE // INTERVAL + 2
        # The next boot runs the new version; when that has proved itself, the cloud is told.
        async with desk.device.start("0.2") as device:
            await device.expect("online")
            device.tell("settle")
            await device.expect("settled")
            await until(lambda: desk.cloud.states[-1] == "done")
            await until(lambda: desk.cloud.versions[-1] == "0.2")
        async with desk.device.start("0.2") as device:
            await device.expect("online")
            device.tell("settle")
            await device.expect("settled")
        assert desk.cloud.states.count("done") == 1

    at_the_desk(scenario)


def test_a_server_without_range_gives_all_at_once(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.offer(desk.url("norange"))
        async with desk.device.start() as device:
            installed = await is_installed(desk, device)
            assert installed["read"] == SIZE
            assert desk.requests() == [(200, "bytes=-512")]
            assert [e["first"] for e in device.of("admit")] == [False, True]

    at_the_desk(scenario)


def test_a_connection_that_is_closed_after_each_answer(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.offer(desk.url("closing"))
        async with desk.device.start() as device:
            await is_installed(desk, device)
            assert len({r.connection for r in desk.files.requests(desk.name)}) == 2

    at_the_desk(scenario)


@pytest.mark.parametrize("location", ["hop", "moved"])
def test_redirects_are_followed(at_the_desk, location):
    async def scenario(desk: Desk) -> None:
        desk.offer(desk.url(location))
        async with desk.device.start() as device:
            await is_installed(desk, device)

    at_the_desk(scenario)


@pytest.mark.parametrize("cut", list(Cut), ids=[cut.value for cut in Cut])
def test_after_a_cut_it_goes_on_at_the_offset(at_the_desk, cut):
    async def scenario(desk: Desk) -> None:
        faults = Faults(down=Flow(cut_after_bytes=70_000, cut=cut))
        async with FaultProxy((HOST, desk.files.port), faults) as proxy:
            desk.offer(desk.url(port=proxy.port))
            async with desk.device.start("0.1", STALL) as device:
                installed = await is_installed(desk, device)
                # What came before the cut is not read again, to the byte.
                assert installed["read"] == SIZE
                offsets = [int(r[6:].split("-")[0]) for _, r in desk.requests()[1:]]
                assert offsets[0] == 0 and len(offsets) >= 3
                assert offsets == sorted(offsets)
                requests = desk.files.requests(desk.name)
                assert all(r.if_range for r in requests[1:])

    at_the_desk(scenario)


def test_cuts_cost_less_than_an_interval_each(at_the_desk, sweep_full):
    """The link or the power, at places that a seed says."""

    def has_come_to(device: DeviceProgram, at: int) -> bool:
        return bool(device.of("installed")) or any(e["fetched"] >= at for e in device.of("at"))

    async def one(desk: Desk, seed: int) -> tuple[int, int]:
        dice = random.Random(seed)
        cuts = sorted(dice.randrange(SIZE) for _ in range(dice.randint(1, 5)))
        firmware = Firmware.make(IMAGE, f"1.{seed}", seed)
        desk.publish(firmware)
        total = 0
        async with FaultProxy((HOST, desk.files.port)) as proxy:
            desk.offer(desk.url(port=proxy.port), firmware)
            left = list(cuts)
            while True:
                async with desk.device.start() as device:
                    while left:
                        await until(partial(has_come_to, device, left.pop(0)))
                        if dice.random() < 0.5:
                            break
                        proxy.cut(Cut.RST)
                        proxy.heal()
                    else:
                        await device.expect("installed")
                        assert desk.device.downloaded == firmware.image
                        return total + bytes_read(device), len(cuts)
                total += bytes_read(device)

    async def scenario(desk: Desk) -> None:
        desk.device.app = {"bytes_per_s": 500_000}
        worst = 0
        count = SWEEP_SEEDS if sweep_full else SEEDS
        for seed in range(count):
            total, cuts = await one(desk, seed)
            assert SIZE <= total <= SIZE + cuts * INTERVAL, seed
            worst = max(worst, (total - SIZE) // cuts)
        print(f"{count} updates, cut up to 5 times: {worst} bytes a cut at most")

    at_the_desk(scenario, 20.0 * (SWEEP_SEEDS if sweep_full else SEEDS))


@pytest.mark.parametrize("location", ["beyond", "otherrange"])
def test_a_range_that_is_refused_or_wrong_is_given_up_for_the_whole(at_the_desk, location):
    async def scenario(desk: Desk) -> None:
        desk.offer(desk.url(location))
        async with desk.device.start() as device:
            await is_installed(desk, device)
            bad = 416 if location == "beyond" else 206
            assert desk.requests() == [(bad, "bytes=-512"), (200, "-")]

    at_the_desk(scenario)


@pytest.mark.parametrize("location", ["files", "noifrange"])
def test_a_file_that_changes_on_the_way_begins_anew(at_the_desk, location):
    async def scenario(desk: Desk) -> None:
        desk.publish(OTHER)
        desk.device.app = {"bytes_per_s": 200_000}
        async with FaultProxy((HOST, desk.files.port)) as proxy:
            desk.offer(desk.url(location, port=proxy.port))
            async with desk.device.start() as device:
                await until(lambda: any(e["fetched"] > 60_000 for e in device.of("at")))
                desk.publish(FIRMWARE)
                proxy.cut(Cut.RST)
                proxy.heal()
                await is_installed(desk, device)
                statuses = [status for status, _ in desk.requests()]
                # If-Range tells it at once, else the ETag of the part does.
                assert statuses.count(200) == (location == "files")
                assert statuses[:2] == [206, 206]

    at_the_desk(scenario)


def test_an_expired_address_is_renewed(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.offer(desk.url("expired"))
        async with desk.device.start() as device:
            await until(lambda: desk.requests())
            desk.offer(desk.url())
            await is_installed(desk, device)
            assert desk.requests()[-3][0] == 403
            assert len(desk.cloud.versions) > 1

    at_the_desk(scenario)


# Where the file is: the code the cloud is told, how often it was asked for, with which waits.
FAILURES = {
    "expired": ("-3", 11),
    "missing": ("-2", 1),
    "gone": ("-2", 1),
    "busy": ("-1", 11),
    "odd": ("-5", 1),
    "loop": ("-5", 4),
    "astray": ("-5", 11),
}


@pytest.mark.parametrize("location", FAILURES)
def test_what_does_not_get_better_fails_with_its_code(at_the_desk, location):
    async def scenario(desk: Desk) -> None:
        code, requests = FAILURES[location]
        desk.offer(desk.url(location))
        async with desk.device.start() as device:
            failed = await desk.cloud.told("fail")
            assert failed["result_code"] == code
            assert failed["version"] == "0.2"
            if location != "loop":
                assert len(desk.requests()) == requests
            told = [await device.expect("error")]
            while told[-1]["error"] != "UpdateError":
                told.append(await device.expect("error"))
            assert told[-1]["phase"] == "update"
            # Each try whose link failed is told, as trying again may take long.
            assert len(told) == (requests if location == "astray" else 1)
            assert not (desk.device.flash / "download").exists()
            # It is not tried again by itself.
            asked = len(desk.requests())
            await asyncio.sleep(0.3)
            assert len(desk.requests()) == asked

    at_the_desk(scenario)


def test_a_file_of_another_size_fails(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.offer(desk.url(), file_size=SIZE + 1)
        async with desk.device.start():
            assert (await desk.cloud.told("fail"))["result_code"] == "-4"
            assert not (desk.device.flash / "download").exists()

    at_the_desk(scenario)


def test_a_wrong_md5_fails_and_nothing_is_kept_of_it(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.offer(desk.url(), md5sum="0" * 32)
        async with desk.device.start() as device:
            assert (await desk.cloud.told("fail"))["result_code"] == "-4"
            desk.cloud.progress.clear()
            desk.cloud.say(FIRMWARE.message(desk.url()))
            installed = await is_installed(desk, device)
            assert installed["read"] == 2 * SIZE

    at_the_desk(scenario)


def test_a_server_that_nobody_vouches_for_is_not_asked(at_the_desk, tmp_path):
    async def scenario(desk: Desk) -> None:
        foreign = tmp_path / "foreign"
        foreign.mkdir()
        with file_server(Place.make(foreign), SIZE) as other:
            (other.files / desk.name).write_bytes(FIRMWARE.content)
            desk.device.http = {}
            url = f"https://{HOST}:{other.tls_port}/files/{desk.name}"
            desk.offer(url)
            async with desk.device.start():
                failed = await desk.cloud.told("fail")
                assert failed["result_code"] == "-5"
                assert other.requests(desk.name) == []

    at_the_desk(scenario)


@pytest.mark.parametrize("location", ["files", "down"])
def test_plain_http_is_for_who_says_so(at_the_desk, location):
    async def scenario(desk: Desk) -> None:
        desk.device.http = {}
        desk.offer(desk.url(location, tls=location == "down"))
        async with desk.device.start():
            failed = await desk.cloud.told("fail")
            assert failed["result_code"] in ("-5", "-1")
            assert all(r.uri.startswith("/down/") for r in desk.files.requests(desk.name))

    at_the_desk(scenario)


def test_an_image_for_another_product_is_refused_before_a_byte_is_written(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.device.app = {"keys": ["00" * 256]}
        desk.offer(desk.url())
        async with desk.device.start():
            failed = await desk.cloud.told("fail")
            assert failed["result_code"] == "-5"
            assert "key" in failed["result_msg"]
            assert not (desk.device.flash / "download").exists()

    at_the_desk(scenario)


def test_it_pauses_resumes_and_can_be_cancelled(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.device.app = {"bytes_per_s": 100_000}
        desk.offer(desk.url())
        async with desk.device.start() as device:
            await until(lambda: any(e["fetched"] > 20_000 for e in device.of("at")))
            device.tell("pause")
            await asyncio.sleep(0.3)
            at = device.of("at")[-1]
            await asyncio.sleep(0.4)
            assert device.of("at")[-1] == at
            device.order(bytes_per_s=0)
            device.tell("resume")
            installed = await is_installed(desk, device)
            # What was in the socket when it hung up came once more, but was not read twice.
            assert installed["read"] == SIZE
        desk.cloud.progress.clear()
        desk.device.app = {"bytes_per_s": 100_000}
        desk.offer(desk.url(), OTHER, version="0.3")
        desk.publish(OTHER)
        async with desk.device.start() as device:
            await until(lambda: any(e["fetched"] > 20_000 for e in device.of("at")))
            device.tell("cancel")
            failed = await desk.cloud.told("fail")
            assert failed["result_msg"] == "cancelled on the device"

    at_the_desk(scenario)


def test_the_rate_is_kept(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.device.app = {"bytes_per_s": 100_000}
        desk.offer(desk.url())
        async with desk.device.start() as device:
            await device.expect("at")
            began_s = asyncio.get_running_loop().time()
            await is_installed(desk, device)
            took_s = asyncio.get_running_loop().time() - began_s
            assert 0.95 * SIZE / 100_000 < took_s < 2 * SIZE / 100_000

    at_the_desk(scenario)


def test_another_rate_holds_from_then_on(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.device.app = {"bytes_per_s": 100_000}
        desk.offer(desk.url())
        async with desk.device.start() as device:
            await until(lambda: any(e["fetched"] > 60_000 for e in device.of("at")))
            device.order(bytes_per_s=5_000)
            await asyncio.sleep(0.2)
            at = device.of("at")[-1]
            # A block takes 0.8 s; for what came faster before nothing is owed, which were 11 s.
            await until(lambda: device.of("at")[-1] != at, 5)
            device.order(bytes_per_s=0)
            await is_installed(desk, device)

    at_the_desk(scenario)


def test_mqtt_may_step_aside_for_it(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.device.http = {"transport": "http", "alone": True}
        desk.offer(desk.url())
        async with desk.device.start() as device:
            await is_installed(desk, device)
            assert "stepped aside" not in [e["reason"] for e in device.of("error")][1:]
            assert len(device.of("online")) >= 2

    at_the_desk(scenario)


def test_a_version_that_was_given_up_is_told_and_not_taken_again(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.offer(desk.url())
        async with desk.device.start() as device:
            await is_installed(desk, device)
        asked = len(desk.requests())
        desk.device.app = {"rolled_back": "it hung"}
        async with desk.device.start() as device:
            failed = await desk.cloud.told("fail")
            assert (failed["result_code"], failed["result_msg"]) == ("-5", "it hung")
            reasons = lambda: [told["result_msg"] for told in desk.cloud.progress]  # noqa: E731
            await until(lambda: reasons().count("it hung") > 1)
        desk.device.app = {}
        desk.cloud.progress.clear()
        async with desk.device.start() as device:
            assert (await desk.cloud.told("fail"))["result_msg"].startswith("it was tried")
        assert len(desk.requests()) == asked

    at_the_desk(scenario)


def test_the_trailer_of_an_earlier_update_is_not_taken_for_another(at_the_desk):
    newer = Firmware.make(IMAGE, "0.3\nbeta", 3)

    async def scenario(desk: Desk) -> None:
        desk.offer(desk.url())
        async with desk.device.start() as device:
            await is_installed(desk, device)
        desk.publish(newer)
        desk.offer(desk.url("nosuffix"), newer)
        desk.device.app = {"bytes_per_s": 200_000}
        async with desk.device.start() as device:
            await until(lambda: any(e["fetched"] > 80_000 for e in device.of("at")))
        desk.device.app = {}
        asked = len(desk.requests())
        async with desk.device.start() as device:
            installed = await is_installed(desk, device, newer)
            assert installed["read"] <= SIZE - 2 * INTERVAL
        assert {r.split("-")[0] for _, r in desk.requests()[asked:]} == {"bytes=65536"}

    at_the_desk(scenario)


def test_a_new_file_under_the_same_version_begins_anew(at_the_desk):
    async def scenario(desk: Desk) -> None:
        desk.device.app = {"bytes_per_s": 200_000}
        desk.offer(desk.url())
        async with desk.device.start() as device:
            await until(lambda: any(e["fetched"] > 80_000 for e in device.of("at")))
        desk.device.app = {}
        desk.publish(OTHER)
        desk.offer(desk.url(), OTHER)
        async with desk.device.start() as device:
            installed = await is_installed(desk, device, OTHER)
            assert installed["read"] == SIZE
        assert TRAILER_BYTES == SIZE - IMAGE

    at_the_desk(scenario)
