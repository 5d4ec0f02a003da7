"""A program under the MicroPython interpreter, with the firmware's library, seen from a test."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "device_scripts"
MICROPYTHON = Path(sys.executable).parent / "micropython"
# Another folder with lib/ and device_scripts/: the library as boards get it.
BUILD = os.environ.get("DEVICE_BUILD")

_EXPECT_TIMEOUT_S = 15.0
_EXIT_TIMEOUT_S = 5.0
_RUN_TIMEOUT_S = 30.0
_MAX_LINE_BYTES = 1 << 20

Event = dict[str, Any]


def run_text(text: str, folder: Path, *arguments: str) -> Any:
    """What a program prints in its last line, as JSON. Fails unless it ends well."""
    program = folder / "program.py"
    program.write_text(text, "utf-8")
    done = subprocess.run(
        [str(MICROPYTHON), str(program), *arguments],
        env={"MICROPYPATH": f"{ROOT / 'firmware/lib'}:.frozen"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_RUN_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


class DeviceFailed(AssertionError):
    """The program ended with a traceback, or did not tell what was expected."""


class DeviceProgram:
    """`async with DeviceProgram("script.py", "argument") as device:` runs a file of
    device_scripts/. Lines it prints as JSON objects are its events; `events` keeps them all. It is
    killed at the end of the block unless it ended by itself; ending with an error fails.
    `environment` is added to this process's."""

    def __init__(
        self, script: str, *arguments: object, environment: Mapping[str, str] | None = None
    ) -> None:
        self.events: list[Event] = []
        self._environment = {**os.environ, **(environment or {})}
        self._scripts = Path(BUILD) / "device_scripts" if BUILD else SCRIPTS
        self._command = [str(MICROPYTHON), str(self._scripts / script), *map(str, arguments)]
        self._seen = 0
        self._news = asyncio.Event()
        self._ended = False
        self._other_output: list[str] = []

    async def __aenter__(self) -> Self:
        library = Path(BUILD) / "lib" if BUILD else ROOT / "firmware/lib"
        path = f"{self._scripts}:{library}:.frozen"
        # Not asyncio's own subprocess: its kill() and its watcher race for the exit status.
        self._process = subprocess.Popen(
            self._command,
            env={**self._environment, "MICROPYPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._output = asyncio.StreamReader(limit=_MAX_LINE_BYTES)
        self._pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._output), self._process.stdout
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._process.kill()  # does nothing to one that has ended
        status = await self._status()
        self._pipe.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        if kind is None and status > 0:
            raise DeviceFailed(self._story(f"ended with status {status}"))

    async def _read(self) -> None:
        while line := await self._output.readline():
            text = line.decode(errors="replace").rstrip()
            if text.startswith("{"):
                self.events.append(json.loads(text))
            else:
                self._other_output.append(text)
            self._news.set()
        self._ended = True
        self._news.set()

    async def _status(self) -> int:
        await self._reading
        return self._process.wait(_EXIT_TIMEOUT_S)  # its output has ended, so it has too

    async def expect(self, event: str, timeout_s: float = _EXPECT_TIMEOUT_S) -> Event:
        """The next event of this name; others before it are passed over."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    while self._seen < len(self.events):
                        self._seen += 1
                        if self.events[self._seen - 1]["event"] == event:
                            return self.events[self._seen - 1]
                    if self._ended:
                        raise DeviceFailed(self._story(f"ended without {event!r}"))
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise DeviceFailed(self._story(f"no {event!r} in {timeout_s} s")) from None

    def of(self, event: str) -> list[Event]:
        """All events of this name so far."""
        return [found for found in self.events if found["event"] == event]

    def tell(self, line: str = "") -> None:
        """A line for the program's standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def order(self, **fields: object) -> None:
        """The same with a JSON object."""
        self.tell(json.dumps(fields))

    async def end(self, timeout_s: float = _EXIT_TIMEOUT_S) -> list[Event]:
        """Waits until the program ends by itself, without error; all its events."""
        try:
            async with asyncio.timeout(timeout_s):
                status = await self._status()
        except TimeoutError:
            raise DeviceFailed(self._story(f"still runs after {timeout_s} s")) from None
        if status:
            raise DeviceFailed(self._story(f"ended with status {status}"))
        return self.events

    def _story(self, what: str) -> str:
        told = "\n".join(map(str, self.events[-30:]))
        return "\n".join((f"{' '.join(self._command[1:])}: {what}", told, *self._other_output))
