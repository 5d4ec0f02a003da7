"""A whole update: packed by tools/ota, rolled out by the hub, downloaded, unpacked into the other
slot, started by slotboot.py, confirmed; and versions that do not work, given up by themselves."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run, until
from tools.boards.description import read_board
from tools.bytecode import compile_text
from tools.hub.app import Hub
from tools.hub.config import HubConfig
from tools.hub.identity import Identity
from tools.hub.ota.updates import Update
from tools.ota.keys import KeyPair, make_keys
from tools.ota.pack import (
    application_files,
    base_files,
    board_field,
    compiled_firmware,
    pack_bundle,
)
from tools.ota.slot import MAIN, slot_file
from tools.ota.trailer import Release

BOARD = read_board("pico_w")
POWER_ON, WATCHDOG = 1, 3
START_TIMEOUT_S = 25.0
DEADLINE_S = 120.0

# What runs in a slot: `check` and `after` are each version's own.
PROGRAM = """
import asyncio
from told import say
from iothub import Device
from iothub.mqtt.engine import ONLINE_AGAIN
from iothub.net.updates import Updates

{check}

def event(what, detail):
    if what == ONLINE_AGAIN:
        say("online")
    elif isinstance(detail, Exception):
        say("error", text=str(detail))

async def main():
    device = Device.from_file("device.json", event)
    updates = Updates(device, "1.0", check)
    say("runs", version=updates.slots.version, trial=updates.slots.on_trial,
        rolled_back=updates.slots.rolled_back)
    await device.run()

asyncio.run(main())
"""
NO_CHECK = "check = None"
GOOD_CHECK = """
async def check():
    say("check")
    await asyncio.sleep_ms(100)
"""
BAD_CHECK = """
def check():
    say("check")
    return False
"""
RAISING_CHECK = """
async def check():
    raise ValueError("no sensor")
"""
SLOW_CHECK = """
async def check():
    await asyncio.sleep(60)
"""
HANGING_CHECK = """
def check():
    say("check")
    while True:
        pass
"""
RAISING = 'from told import say\nsay("runs", version="bad")\nraise ValueError("broken")\n'


def compiled(text: str) -> bytes:
    with TemporaryDirectory(prefix="update-") as folder:
        target = Path(folder) / MAIN
        compile_text(text, "main", target)
        return target.read_bytes()


def program(check: str) -> str:
    return PROGRAM.format(check=check)


@pytest.fixture(scope="module")
def firmware() -> dict[str, bytes]:
    return compiled_firmware(BOARD)


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> KeyPair:
    return make_keys(tmp_path_factory.mktemp("keys"))


@dataclass
class Desk:
    """A hub, and the flash of a provisioned board."""

    hub: Hub
    identity: Identity
    flash: Path
    firmware: dict[str, bytes]
    keys: KeyPair

    async def roll_out(self, version: str, sequence: int, main: str) -> None:
        product = self.identity.product_id
        release = Release(0, product, board_field(BOARD), version, sequence)
        files = self.firmware | {MAIN: compiled(main)}
        packed = pack_bundle(BOARD, files, release, self.keys)
        await self.upload(version, packed.content)

    async def upload(self, version: str, packed: bytes) -> None:
        async def content() -> AsyncIterator[bytes]:
            yield packed

        product = self.identity.product_id
        updates = self.hub.broker.updates
        await updates.library.add(product, version, content())
        updates.roll_out(product, version, plain_http=True)

    @property
    def update(self) -> Update:
        (update,) = self.hub.broker.updates.progress(self.identity.product_id)
        return update

    @property
    def failures(self) -> list[str]:
        rows = self.hub.store.query("SELECT detail FROM event WHERE kind = 'ota' ORDER BY id")
        told = [json.loads(detail) for (detail,) in rows]
        return [each["result_msg"] for each in told if each["action"] == "fail"]

    @property
    def reported(self) -> str | None:
        return self.hub.broker.updates.running(self.identity)

    def board(self, cause: int = WATCHDOG) -> DeviceProgram:
        """From a reset to the next one."""
        return DeviceProgram("board_program.py", self.flash, cause)

    async def install(self) -> None:
        """Starts the board, and waits until it has installed what is rolled out."""
        async with self.board(POWER_ON) as board:
            await board.expect("online")
            await board.expect("reset", START_TIMEOUT_S)

    async def runs(self, board: DeviceProgram) -> tuple[str, str, bool]:
        """(slot, version, on trial) of what starts."""
        starts = await board.expect("starts")
        runs = await board.expect("runs")
        return starts["name"], runs["version"], runs["trial"]


@contextlib.asynccontextmanager
async def desk_at(folder: Path, firmware: dict[str, bytes], keys: KeyPair) -> AsyncIterator[Desk]:
    data = folder / "hub"
    data.mkdir()
    async with Hub(HubConfig(mqtt_port=0, api_port=0, http_port=0, data=data)) as hub:
        product = hub.registry.add_product("lamps", "key").product_id
        made = hub.registry.add_device(product, "dev01")
        fields = {
            "product_id": product,
            "device_name": "dev01",
            "device_secret": made.secret,
            "transport": "tcp",
            "host": "127.0.0.1",
            "port": hub.mqtt_port,
            "http": {"transport": "http"},
        }
        flash = folder / "flash"
        old = application_files(firmware, None) | {MAIN: compiled(program(NO_CHECK))}
        for path, content in {
            "device.json": json.dumps(fields).encode(),
            "slotboot.mpy": firmware["slotboot.mpy"],
            "slots/a": slot_file(old),
            "slots/base": slot_file(base_files(firmware)),
            "slots/keys": keys.public_file(),
            "state/made": b"",
        }.items():
            (flash / path).parent.mkdir(parents=True, exist_ok=True)
            (flash / path).write_bytes(content)
        yield Desk(hub, made.identity, flash, firmware, keys)


def at_desk(folder, firmware, keys, scenario):
    async def whole() -> None:
        async with desk_at(folder, firmware, keys) as desk:
            await scenario(desk)

    run(whole, DEADLINE_S)


def test_a_version_is_confirmed_and_another_follows_it(tmp_path, firmware, keys):
    async def scenario(desk: Desk) -> None:
        await desk.roll_out("1.1", 1, program(GOOD_CHECK))
        await desk.install()
        assert desk.update.state == "burning"
        async with desk.board() as board:
            assert await desk.runs(board) == ("b", "1.1", True)
            await board.expect("check")
            await until(lambda: desk.update.state == "done")
        assert not (desk.flash / "slots/download").exists()
        await desk.roll_out("1.2", 2, program(NO_CHECK))
        await desk.install()
        async with desk.board() as board:
            assert await desk.runs(board) == ("a", "1.2", True)
            await until(lambda: desk.update.state == "done")
        async with desk.board(POWER_ON) as board:
            assert await desk.runs(board) == ("a", "1.2", False)
            await board.expect("online")

    at_desk(tmp_path, firmware, keys, scenario)


@pytest.mark.parametrize(
    ("check", "why"),
    [
        (BAD_CHECK, "the application's check failed"),
        (RAISING_CHECK, "the application's check: ValueError no sensor"),
    ],
    ids=["says no", "raises"],
)
def test_a_version_whose_check_fails_goes_by_itself(tmp_path, firmware, keys, check, why):
    async def scenario(desk: Desk) -> None:
        await desk.roll_out("1.1", 1, program(check))
        await desk.install()
        async with desk.board() as board:
            assert await desk.runs(board) == ("b", "1.1", True)
            await board.expect("reset")
        async with desk.board() as board:
            runs = await board.expect("runs")
            assert (runs["version"], runs["rolled_back"]) == ("", why)
            await until(lambda: desk.update.state == "fail")
            assert desk.update.result_msg == why
            await until(lambda: desk.reported == "1.0")
            # It is still wanted, so it is offered and refused again, for the same reason.
            await until(lambda: len(desk.failures) > 1)
            assert set(desk.failures) == {why}

    at_desk(tmp_path, firmware, keys, scenario)


def test_a_version_that_raises_goes_by_itself(tmp_path, firmware, keys):
    async def scenario(desk: Desk) -> None:
        await desk.roll_out("1.1", 1, RAISING)
        await desk.install()
        for _ in range(3):
            async with desk.board() as board:
                assert (await board.expect("starts"))["name"] == "b"
                await board.expect("raised")
        async with desk.board() as board:
            runs = await board.expect("runs")
            assert runs["rolled_back"] == "it raised ValueError: broken"
            await until(lambda: desk.update.state == "fail")
            assert desk.update.result_msg == "it raised ValueError: broken"

    at_desk(tmp_path, firmware, keys, scenario)


def test_a_version_that_hangs_goes_by_itself(tmp_path, firmware, keys):
    """Nothing feeds the watchdog then: this test acts for it."""

    async def scenario(desk: Desk) -> None:
        await desk.roll_out("1.1", 1, program(HANGING_CHECK))
        await desk.install()
        for _ in range(3):
            async with desk.board() as board:
                assert await desk.runs(board) == ("b", "1.1", True)
                await board.expect("check")
                fed = len(board.of("fed"))
                await asyncio.sleep(1.5)
                assert len(board.of("fed")) == fed
        async with desk.board() as board:
            runs = await board.expect("runs")
            assert runs["rolled_back"] == "it hung, or reset the chip"
            await until(lambda: desk.update.state == "fail")

    at_desk(tmp_path, firmware, keys, scenario)


def test_a_version_of_which_a_task_hangs_goes_by_itself(tmp_path, firmware, keys):
    async def scenario(desk: Desk) -> None:
        main = program(SLOW_CHECK).replace(
            'say("runs"', "updates.watch.task('sensor', 1500)\n    say(\"runs\""
        )
        await desk.roll_out("1.1", 1, main)
        await desk.install()
        async with desk.board() as board:
            assert await desk.runs(board) == ("b", "1.1", True)
            await board.expect("fed")
            await asyncio.sleep(3)
            fed = len(board.of("fed"))
            await asyncio.sleep(1.5)
            assert len(board.of("fed")) == fed
        async with desk.board() as board:
            runs = await board.expect("runs")
            assert runs["rolled_back"] == "the task sensor made no progress"

    at_desk(tmp_path, firmware, keys, scenario)


def test_power_lost_before_the_cloud_knew_of_the_confirmation(tmp_path, firmware, keys):
    async def scenario(desk: Desk) -> None:
        await desk.roll_out("1.1", 1, program(NO_CHECK))
        await desk.install()
        installed = {path: path.read_bytes() for path in (desk.flash / "state").glob("ota.*")}
        assert installed
        async with desk.board() as board:
            assert await desk.runs(board) == ("b", "1.1", True)
            await until(lambda: desk.reported == "1.1")
        for path, content in installed.items():
            path.write_bytes(content)
        await desk.roll_out("1.2", 2, program(NO_CHECK))
        await desk.install()
        async with desk.board() as board:
            assert await desk.runs(board) == ("a", "1.2", True)

    at_desk(tmp_path, firmware, keys, scenario)


def test_the_sample_application_updates_itself(tmp_path, firmware, keys):
    async def scenario(desk: Desk) -> None:
        # What is provisioned and what is rolled out: firmware/main.py and firmware/app.
        (desk.flash / "slots/a").write_bytes(slot_file(application_files(firmware, None)))
        release = (BOARD, firmware, Release(0, desk.identity.product_id, BOARD.build, "1.1", 1))
        await desk.upload("1.1", pack_bundle(*release, keys).content)
        async with desk.board(POWER_ON) as board:
            await board.expect("reset", START_TIMEOUT_S)
        assert desk.reported == "1.0"
        async with desk.board() as board:
            assert (await board.expect("starts"))["name"] == "b"
            await until(lambda: desk.update.state == "done")
            await until(lambda: desk.reported == "1.1")

    at_desk(tmp_path, firmware, keys, scenario)


def test_a_confirmed_version_whose_file_goes_bad_is_given_up(tmp_path, firmware, keys):
    """It says what is wrong, ends, and at the next start its file is read as a whole."""

    async def scenario(desk: Desk) -> None:
        release = (BOARD, firmware, Release(0, desk.identity.product_id, BOARD.build, "1.1", 1))
        await desk.upload("1.1", pack_bundle(*release, keys).content)
        await desk.install()
        async with desk.board() as board:
            assert (await board.expect("starts"))["name"] == "b"
            await until(lambda: desk.update.state == "done")
        slot = desk.flash / "slots/b"
        code = firmware["iothub/transport.mpy"]
        slot.write_bytes(slot.read_bytes().replace(code, b"\xff" * len(code)))
        async with desk.board() as board:
            assert (await board.expect("starts"))["name"] == "b"
            raised = await board.expect("raised", START_TIMEOUT_S)
            assert "incompatible .mpy file" in raised["error"]
        async with desk.board() as board:
            assert (await board.expect("starts"))["name"] == "a"
            await board.expect("online")

    at_desk(tmp_path, firmware, keys, scenario)


def test_safe_mode_takes_an_update(tmp_path, firmware, keys):
    async def scenario(desk: Desk) -> None:
        (desk.flash / "slots/a").write_bytes(b"worn")
        await desk.roll_out("1.1", 1, program(NO_CHECK))
        async with desk.board(POWER_ON) as board:
            assert (await board.expect("starts"))["name"] == "base"
            await until(lambda: desk.reported == "safe")
            await board.expect("reset", START_TIMEOUT_S)
        async with desk.board() as board:
            assert await desk.runs(board) == ("a", "1.1", True)
            await until(lambda: desk.update.state == "done")

    at_desk(tmp_path, firmware, keys, scenario)
