"""The chapter of updates, played by firmware/examples/update.py on a board with slots."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from tools.demo.errors import ChapterFailed
from tools.demo.props import EXAMPLES, props_of
from tools.demo.slot_board import SlotBoard, Workbench, workbench
from tools.demo.story import TRANSPORTS, Story
from tools.faults import FaultProxy, Faults, Flow
from tools.ota.trailer import TRAILER_BYTES

# Slow enough to be cut in the middle.
_LINE_BYTES_PER_S = 50_000
_CUT_S = 0.5
# Shares of the file: the link goes at these, the power at the last.
_CUTS = (0.25, 0.5)
_POWER_CUT = 0.75
# A power cut costs what came since the last record (firmware/lib/iothub/update/resume.py).
_RECORD_BYTES = 32 * 1024
_DOWNLOAD_TIMEOUT_S = 30.0
_INSTALL_TIMEOUT_S = 30.0
_POLL_S = 0.02

PROGRAM = (EXAMPLES / "update.py").read_text()
GOOD = PROGRAM.replace("return 21.5", "return 22.5")
# Its driver was left out of the bundle.
BAD = PROGRAM.replace("import json\n", "import json\n\nimport bme280\n")
BAD_REASON = "it raised ImportError: no module named 'bme280'"


@dataclass
class Scene:
    """A board with slots, and its lines to the hub: for MQTT and for files."""

    story: Story
    bench: Workbench
    board: SlotBoard
    device: str
    lines: tuple[FaultProxy, FaultProxy]

    @property
    def product_id(self) -> str:
        return self.device.split("/")[0]

    async def roll_out(self, version: str, sequence: int, program: str) -> int:
        """The bytes of the file."""
        content = self.bench.pack(self.product_id, version, sequence, program)
        path = f"/products/{self.product_id}"
        await self.story.cloud.upload(f"{path}/firmware/{version}", content)
        await self.story.cloud.post(f"{path}/updates", {"version": version})
        self.story.narrator.tell(
            f"the application signs version {version}, {len(content)} bytes, and rolls it out"
        )
        return len(content)

    async def update(self) -> dict[str, Any]:
        """What the hub knows of it."""
        shown = await self.story.cloud.get(f"/products/{self.product_id}/updates")
        (update,) = shown["updates"]
        return update

    async def ends_as(self, state: str, running: str) -> dict[str, Any]:
        async def look() -> tuple[str, str]:
            shown = await self.update()
            return shown["state"], shown["running"]

        await self.story.until_equal(look, (state, running))
        return await self.update()

    async def asked_for(self) -> list[int]:
        """Where each part began that the device asked for and got, but for the trailer's."""
        found = await self.story.cloud.events(self.device, "ota")
        served = [event for event in found if event["action"] == "served"]
        return [e["first"] for e in served if e["last"] - e["first"] >= TRAILER_BYTES]

    def downloaded_bytes(self) -> int:
        """What of the file is on the flash."""
        try:
            return (self.board.flash / "slots/download").stat().st_size
        except FileNotFoundError:
            return 0

    async def cut_the_link(self) -> None:
        for line in self.lines:
            line.cut()
        await asyncio.sleep(_CUT_S)
        for line in self.lines:
            line.heal()


@contextlib.asynccontextmanager
async def _scene(story: Story) -> AsyncIterator[Scene]:
    ports = story.hub.address.ports
    https, transport = ports["https"], story.configuration["transport"]
    slow = Faults(down=Flow(bytes_per_s=_LINE_BYTES_PER_S))
    async with (
        FaultProxy(("127.0.0.1", ports[TRANSPORTS[transport]])) as mqtt,
        FaultProxy(("127.0.0.1", https), slow) as files,
    ):
        props = await props_of(story.cloud, "update", "update")
        bench = await workbench(story.workshop / "ota_keys")
        flash = story.workshop / props.device.replace("/", "-")
        configuration = {**story.ways, **props.fields, "port": mqtt.port}
        bench.flash(flash, PROGRAM, configuration, story.trust_anchor)
        board = SlotBoard(flash, lambda line: story.narrator.device(line, "update"))
        ports["https"] = files.port  # the addresses of files lead through the slow line
        try:
            yield Scene(story, bench, board, props.device, (mqtt, files))
        finally:
            ports["https"] = https
            await board.power_off()


async def update(story: Story) -> None:
    """An update: link and power fail in the middle; and one that does not work"""
    tell = story.narrator.tell
    async with _scene(story) as scene:
        board = scene.board
        await board.power_on()
        await board.says(r"^version 1\.0$")
        size = await scene.roll_out("1.1", 1, GOOD)
        kept = await _download(scene, size)
        await board.says(r"^version 1\.1$", _INSTALL_TIMEOUT_S)
        await scene.ends_as("done", "1.1")
        offsets = await scene.asked_for()
        first, *again = offsets
        if first or not again or again != sorted(again) or not kept - _RECORD_BYTES <= again[-1]:
            raise ChapterFailed(f"the file was asked for from {offsets} on, after {kept} bytes")
        tell(f"the hub was asked for the file from byte {_listed(offsets)} on, never anew")

        after = len(board.lines)
        await scene.roll_out("1.2", 2, BAD)
        await board.says("^given up: " + BAD_REASON, _INSTALL_TIMEOUT_S, after)
        told = await scene.ends_as("fail", "1.1")
        starts = sum("bme280" in line and "starts again" in line for line in board.lines)
        readings = [m["fields"]["celsius"] for m in await story.cloud.messages(scene.device)]
    if told["result_msg"] != BAD_REASON or starts != 3 or readings[-1] != 22.5:
        raise ChapterFailed(f"the hub was told {told}, after {starts} starts: {readings}")
    story.narrator.agree(
        f"1.1 proved itself; 1.2 was started {starts} times, and 1.1 is back."
        f" The hub was told why: {told['result_msg']}"
    )


async def _download(scene: Scene, size: int) -> int:
    """Two cuts of the link, one of the power; the bytes that were on the flash before the last."""
    tell = scene.story.narrator.tell
    with scene.story.narrator.bar("on the flash", size) as show:
        for share in _CUTS:
            await _comes_to(scene, round(share * size), show)
            tell(f"the link is cut for {_CUT_S} s, {scene.downloaded_bytes()} bytes are there")
            await scene.cut_the_link()
        await _comes_to(scene, round(_POWER_CUT * size), show)
        await scene.board.power_off()
        kept = scene.downloaded_bytes()
        tell(f"the power is cut, {kept} bytes are there")
        await scene.board.power_on()
        await _comes_to(scene, size - TRAILER_BYTES, show)
    return kept


async def _comes_to(scene: Scene, wanted_bytes: int, show: Callable[[int], None]) -> None:
    give_up_s = time.monotonic() + _DOWNLOAD_TIMEOUT_S
    while (found := scene.downloaded_bytes()) < wanted_bytes:
        show(found)
        if time.monotonic() > give_up_s:
            raise ChapterFailed(f"{found} bytes are on the flash, not {wanted_bytes}")
        await asyncio.sleep(_POLL_S)


def _listed(offsets: list[int]) -> str:
    *most, last = map(str, offsets)
    return f"{', '.join(most)} and {last}" if most else last
