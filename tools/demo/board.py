"""A board on the desk: a directory as its flash, the MicroPython interpreter as its chip."""

import asyncio
import ctypes
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.bytecode import compile_file, compile_firmware
from tools.demo.errors import ChapterFailed

HEAP = "192k"
_MICROPYTHON = Path(sys.executable).with_name("micropython")
_STOP_TIMEOUT_S = 3.0
_SPEAK_TIMEOUT_S = 15.0
_MAX_LINE_BYTES = 4096
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """No board outlives who plays with it, even if that is killed. Linux only."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Board:
    """Boots what lies in `flash`: boot, then main, as a chip does. `lines` is what it said."""

    heap = HEAP

    def __init__(self, flash: Path, hear: Callable[[str], None]) -> None:
        self.flash = flash
        self.lines: list[str] = []
        self._hear = hear
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._spoke = asyncio.Condition()

    def install(self, configuration: dict[str, Any], trust_anchor: bytes) -> int:
        """Puts the compiled firmware, a device.json and the root to trust (DER) onto the empty
        flash; returns the bytes of firmware."""
        shutil.rmtree(self.flash, ignore_errors=True)
        self.flash.mkdir(parents=True)
        total_bytes = compile_firmware(self.flash)
        # This board has no slots (slot_board.py does), so nothing that starts them either.
        (self.flash / "slotboot.mpy").unlink()
        (self.flash / "device.json").write_text(json.dumps(configuration))
        (self.flash / "trust").mkdir()
        (self.flash / "trust" / "hub.der").write_bytes(trust_anchor)
        return total_bytes

    def install_program(self, other: Path, program: Path, configuration: dict[str, Any]) -> None:
        """The same on a copy of another board's flash, with a program in the place of main."""
        shutil.copytree(other, self.flash, dirs_exist_ok=True)
        compile_file(program, self.flash / "main.mpy")
        (self.flash / "device.json").write_text(json.dumps(configuration))

    async def power_on(self) -> None:
        await self._start("-c", "import boot; import main")
        self._reader = asyncio.create_task(self._live())

    async def _start(self, *arguments: str | Path) -> None:
        """The interpreter, with what it is to run."""
        environment = {
            # Only what is frozen into the interpreter and what lies on the flash.
            "MICROPYPATH": ".frozen:lib",
            "PATH": os.defpath,
        }
        self._process = await asyncio.create_subprocess_exec(
            _MICROPYTHON,
            *("-X", f"heapsize={self.heap}"),
            *arguments,
            cwd=self.flash,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_MAX_LINE_BYTES,
            preexec_fn=_end_with_parent,
        )

    async def power_off(self) -> None:
        """Pulls the plug: no goodbye."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT_S)
        if self._reader is not None:
            await asyncio.wait_for(self._reader, _STOP_TIMEOUT_S)

    async def is_off(self) -> None:
        """Waits until nothing runs any more, however long."""
        assert self._reader is not None
        await asyncio.shield(self._reader)

    async def ends(self) -> None:
        """Waits until the program is over."""
        try:
            await asyncio.wait_for(self.is_off(), _SPEAK_TIMEOUT_S)
        except TimeoutError:
            raise ChapterFailed("the device's program does not end") from None

    async def says(
        self, pattern: str, timeout_s: float = _SPEAK_TIMEOUT_S, after: int = 0
    ) -> re.Match[str]:
        """Waits for a console line, from line number `after` on, that matches."""
        deadline_s = time.monotonic() + timeout_s
        at = after
        async with self._spoke:
            while True:
                for line in self.lines[at:]:
                    if found := re.search(pattern, line):
                        return found
                at = len(self.lines)
                left_s = deadline_s - time.monotonic()
                if self._reader is None or self._reader.done() or left_s <= 0:
                    what = "stopped" if left_s > 0 else f"was silent for {timeout_s:.0f} s"
                    raise ChapterFailed(f"the device {what}; expected: {pattern}")
                try:
                    await asyncio.wait_for(self._spoke.wait(), left_s)
                except TimeoutError:
                    continue

    async def _live(self) -> None:
        """Hears it until it is off."""
        await self._hear_out()
        async with self._spoke:
            self._spoke.notify_all()

    async def _hear_out(self) -> None:
        """Until the process ends."""
        assert self._process is not None and self._process.stdout is not None
        async for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self._hear(line)
            async with self._spoke:
                self.lines.append(line)
                self._spoke.notify_all()
