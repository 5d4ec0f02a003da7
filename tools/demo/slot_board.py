"""A board whose application can be updated: with slots, as `make deploy` writes them, and a chip
that can be reset (device/chip.py)."""

import asyncio
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.boards.description import read_board
from tools.bytecode import compile_text, with_constants_inlined
from tools.demo.board import Board
from tools.deploy.starters import starters
from tools.ota.keys import KeyPair, make_keys
from tools.ota.pack import application_files, base_files, compiled_firmware, pack_bundle
from tools.ota.slot import MAIN, slot_file
from tools.ota.trailer import Release

_CHIP = Path(__file__).with_name("device") / "chip.py"
# As an RP2040 numbers why it was reset; its machine.reset() is one by the watchdog.
_POWER_ON = 1
_WATCHDOG = 3
# Whose room and bytecode are the measure. The interpreter calls its own board "standard".
_BOARD = read_board("pico_w")
_BOARD_FIELD = "standard"


@dataclass(frozen=True)
class Workbench:
    """The firmware, compiled, and the keys that sign updates of it."""

    firmware: dict[str, bytes]
    keys: KeyPair

    def pack(self, product_id: str, version: str, sequence: int, program: str) -> bytes:
        """The file of a signed update whose main.py is `program`."""
        release = Release(0, product_id, _BOARD_FIELD, version, sequence)
        return pack_bundle(_BOARD, self._with(program), release, self.keys).content

    def flash(
        self, folder: Path, program: str, configuration: dict[str, Any], trust_anchor: bytes
    ) -> None:
        """Puts onto a flash what provisioning and `make deploy` do."""
        for path, content in {
            **starters(),
            "slots/a": slot_file(application_files(self._with(program), None)),
            "slots/base": slot_file(base_files(self.firmware)),
            "slots/keys": self.keys.public_file(),
            "trust/hub.der": trust_anchor,
            "device.json": json.dumps(configuration).encode(),
        }.items():
            file = folder / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        (folder / "state").mkdir(exist_ok=True)

    def _with(self, program: str) -> dict[str, bytes]:
        with TemporaryDirectory(prefix="iothub-") as folder:
            target = Path(folder) / MAIN
            compile_text(with_constants_inlined(program), "main.py", target)
            return self.firmware | {MAIN: target.read_bytes()}


async def workbench(folder: Path) -> Workbench:
    """Keys that are in the folder are used, else made."""
    firmware = await asyncio.to_thread(compiled_firmware, _BOARD)
    return Workbench(firmware, await asyncio.to_thread(make_keys, folder))


class SlotBoard(Board):
    """Resets itself as often as its program wants, until the power goes."""

    # TLS twice, for MQTT and the file, and an update: it fits a Pico W's (host_tests/target), but
    # the desk's words have 64 bits.
    heap = "384k"

    def __init__(self, flash: Path, hear: Callable[[str], None]) -> None:
        super().__init__(flash, hear)
        self._is_on = False

    async def power_on(self) -> None:
        self._is_on = True
        await self._start(_CHIP, self.flash.resolve(), str(_POWER_ON))
        self._reader = asyncio.create_task(self._live())

    async def power_off(self) -> None:
        self._is_on = False
        await super().power_off()

    async def _hear_out(self) -> None:
        assert self._process is not None
        await super()._hear_out()
        while await self._process.wait() == -signal.SIGUSR1 and self._is_on:
            await self._start(_CHIP, self.flash.resolve(), str(_WATCHDOG))
            if not self._is_on:  # meanwhile
                self._process.kill()
            await super()._hear_out()
