"""Somebody who sits at a terminal, types at a command and reads what it shows."""

import contextlib
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from host_tests.target.desk_board import ROOT

EXIT = b"\x1d"  # Ctrl-]


@dataclass
class Person:
    terminal: int
    command: subprocess.Popen[bytes]
    patience_s: float

    def types(self, text: bytes) -> None:
        os.write(self.terminal, text)

    def sees(self, text: bytes) -> str:
        """What the terminal shows until this text comes."""
        seen = b""
        deadline = time.monotonic() + self.patience_s
        while text not in seen:
            assert select.select([self.terminal], [], [], deadline - time.monotonic())[0], seen
            seen += os.read(self.terminal, 1024)
        return seen.decode()

    def sees_it_end(self) -> int:
        """The command's exit status."""
        return self.command.wait(self.patience_s)


@contextlib.contextmanager
def person_at(command: list[str], patience_s: float) -> Iterator[Person]:
    """`command` runs in a terminal of its own; it is killed at the end of the block."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
    try:
        yield Person(ours, process, patience_s)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
