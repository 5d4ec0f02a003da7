"""Starts the emulator as a child process and follows what it reports."""

import contextlib
import json
import queue
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tools.pico.errors import EmulatorError
from tools.pico.node_packages import node_command

PROGRAM = Path(__file__).parent / "emulator" / "main.mjs"
STOP_TIMEOUT_S = 10.0
END_GRACE_S = 1.0


class EmulatorProcess:
    """A running emulator. It ends with this process: it watches the pipe to its standard input."""

    def __init__(self, arguments: list[str]) -> None:
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._messages = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [node_command(), str(PROGRAM), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_events, daemon=True)
        self._reader.start()

    def wait_for(self, event: str, timeout_s: float) -> dict[str, Any]:
        """Returns the next report of this kind. Raises `EmulatorError` if it does not come."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                report = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                reason = f'no "{event}" after {timeout_s:g} s of real time'
                raise EmulatorError(f"waiting for the emulator: {reason}") from None
            if report is None:
                self._events.put(None)
                raise EmulatorError(f'waiting for "{event}": {self.describe_end()}')
            if report["event"] == event:
                return report

    def describe_end(self) -> str:
        """Says with which status the emulator ended, and what it had to say about it."""
        self.has_ended()
        self._messages.seek(0)
        said = self._messages.read()[-2000:].strip()
        return f"the emulator ended with status {self._process.returncode}: {said or 'no message'}"

    def has_ended(self) -> bool:
        """Whether the emulator ended or is about to: its sockets close a little earlier."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=END_GRACE_S)
        return self._process.returncode is not None

    def stop(self) -> int:
        """Ends the emulator, which saves the flash first. Returns its exit status."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            status = self._process.wait(timeout=STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        self._messages.close()
        return status

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._events.put(json.loads(line))
        self._events.put(None)
