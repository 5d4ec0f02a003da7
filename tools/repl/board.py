"""A running board: opened, recognised, and its files read and written."""

import ast
import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import serial  # type: ignore[import-untyped]
from mpremote.transport import (  # type: ignore[import-untyped]
    TransportError,
    TransportExecError,
)
from mpremote.transport_serial import SerialTransport  # type: ignore[import-untyped]

from tools.boards.description import Board, version_numbers
from tools.boards.errors import BoardError
from tools.boards.ports import choose_port, port_error

DEVICE_CODE = Path(__file__).with_name("device") / "files.py"
REPL_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 30.0
# Each becomes one line of Python on the board, up to four times as long.
CHUNK_BYTES = 1024
OLDEST_MICROPYTHON = "1.27.0"
NEW_SUFFIX = ".new"
_IDENTIFY = """
import sys
try:
    from machine import unique_id
except ImportError:
    unique_id = bytes
_i = sys.implementation
print(repr((sys.platform, getattr(_i, "_machine", ""), getattr(_i, "_build", ""),
    ".".join(str(n) for n in _i.version[:3]), getattr(_i, "_mpy", 0) & 0xFF, unique_id().hex())))
"""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Identity:
    """What the board says of itself. `unique_id` is the chip's, in hex; empty on the desk."""

    platform: str
    machine: str
    build: str
    version: str
    mpy_version: int
    unique_id: str


class RunningBoard:
    """A board in the raw REPL. Its methods raise BoardError."""

    def __init__(self, transport: SerialTransport, port: str) -> None:
        self._transport = transport
        self._port = port
        self._loaded = False
        with self._talking("looking at the board"):
            self.identity = _ask(transport)

    @classmethod
    @contextmanager
    def opened(cls, port: str | None, board: Board | None = None) -> Iterator["RunningBoard"]:
        """The board at `port`, or at the only one; what runs there is interrupted. `board`: which
        it must be."""
        chosen = choose_port(port)
        transport = _open(chosen)
        try:
            running = cls(transport, chosen)
            running.check(board)
            yield running
        finally:
            # After a fault there is nobody left to say goodbye to.
            with contextlib.suppress(OSError, TransportError):
                if transport.in_raw_repl:
                    transport.exit_raw_repl()
            with contextlib.suppress(OSError):
                transport.close()

    def check(self, board: Board | None) -> None:
        """Raises BoardError for an old MicroPython, and for another board than `board`."""
        phase, found = "looking at the board", self.identity
        if version_numbers(found.version) < version_numbers(OLDEST_MICROPYTHON):
            hint = f"{OLDEST_MICROPYTHON} or newer is needed: make flash"
            raise BoardError(phase, f"MicroPython {found.version} is too old", hint)
        if board is not None and found.build != board.build:
            what = found.build or found.machine or found.platform
            hint = f"BOARD={board.key} is {board.build}; leave BOARD away to take any."
            raise BoardError(phase, f"this is {what}", hint)

    def exec(self, code: str) -> bytes:
        """Runs code and returns what it printed."""
        with self._talking("running code on the board"):
            return bytes(self._transport.exec(code))

    def load(self, path: Path) -> None:
        """Gives call() the functions of a file."""
        self.exec(path.read_text("utf-8"))

    def call(self, function: str, *arguments: Any) -> Any:
        """Calls a function of device/files.py, or of what was loaded; arguments and result are of
        JSON's kinds."""
        if not self._loaded:
            self._loaded = True
            self.load(DEVICE_CODE)
        told = json.dumps(json.dumps(arguments))
        output = self.exec(f"import json\nprint(json.dumps({function}(*json.loads({told}))))")
        return json.loads(output)

    def append(self, file: str, content: bytes, progress: Callable[[int], None]) -> None:
        """Writes to a file that is open on the board under the name `file`."""
        for start in range(0, len(content), CHUNK_BYTES):
            chunk = content[start : start + CHUNK_BYTES]
            self.exec(f"{file}.write({chunk!r})")
            progress(len(chunk))

    def write(self, path: str, content: bytes, progress: Progress | None = None) -> None:
        """Puts a whole file in its place: written beside it, compared by SHA-256, renamed. Until
        then the old one is there, and stays if anything fails."""
        phase = "writing to the board"
        new = path + NEW_SUFFIX
        self.call("make_folders", path.rpartition("/")[0])
        with self._talking(phase):
            self._transport.fs_writefile(
                new, content, chunk_size=CHUNK_BYTES, progress_callback=progress
            )
        (found,) = self.call("hashes", [new])
        if found != hashlib.sha256(content).hexdigest():
            hint = "Run it again; if it repeats, the flash is worn or the cable bad."
            raise BoardError(phase, f"{path} did not arrive as it was sent", hint)
        self.call("rename", new, path)

    def restart(self) -> None:
        """Starts the board's own program, as after power-on but without it."""
        with self._talking("restarting the board"):
            self._transport.exit_raw_repl()
            self._transport.serial.write(b"\x04")

    def reset(self) -> None:
        """Resets the chip. What follows comes from a port that opens anew, if it does."""
        with self._talking("restarting the board"):
            self._transport.exec_raw_no_follow("import machine; machine.reset()")

    @contextmanager
    def _talking(self, phase: str) -> Iterator[None]:
        try:
            # mpremote prints what it got before it raises.
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except TransportExecError as error:
            last = error.error_output.strip().splitlines()[-1]
            hint = "What it had before is still there; `make repl` lets you look."
            if "Errno 28" in last:
                hint = "No room is left there: remove files of yours, or make erase."
            raise BoardError(phase, f"the board says {last}", hint) from error
        except (TransportError, serial.SerialException, OSError) as error:
            hint = "Plug it in again and repeat the command; what it had before is still there."
            raise BoardError(phase, f"the board at {self._port} went away", hint) from error


def _ask(transport: SerialTransport) -> Identity:
    output = bytes(transport.exec(_IDENTIFY))
    return Identity(*ast.literal_eval(output.decode().strip()))


def _open(port: str) -> SerialTransport:
    try:
        transport = SerialTransport(port, timeout=READ_TIMEOUT_S)
    except (TransportError, serial.SerialException, OSError) as error:
        raise port_error(port, _reason(port) or error) from error
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            interrupt(transport)
    except (TransportError, serial.SerialException, OSError) as error:
        with contextlib.suppress(OSError):
            transport.close()
        hint = (
            "Reset the board and try again. If it never ran MicroPython: make flash."
            " Where a product's console is closed, docs/production.md has the ways back."
        )
        raise BoardError("connecting", f"no REPL answers at {port}", hint) from error
    return transport


def interrupt(transport: SerialTransport) -> None:
    """Leads to the raw REPL. A Ctrl-C that comes while a timer's function runs ends no more than
    that, so there is a second one. Raises TransportError."""
    # mpremote looks at a pseudo-terminal's deadlines only while nothing comes from there.
    is_pty, transport.is_pty = transport.is_pty, False
    try:
        transport.enter_raw_repl(soft_reset=False, timeout_overall=REPL_TIMEOUT_S)
    except TransportError:
        transport.enter_raw_repl(soft_reset=False, timeout_overall=REPL_TIMEOUT_S)
    finally:
        transport.is_pty = is_pty


def check_port(port: str) -> None:
    """Raises BoardError when mpremote's prompt would not open at a port."""
    if "://" in port:
        hint = "deploy, provision and logs take it; for a prompt, give it a terminal with socat."
        raise BoardError("opening the port", f"a prompt needs a serial port, {port} is none", hint)
    error = _reason(port)
    if error is not None:
        raise port_error(port, error) from error


def _reason(port: str) -> Exception | None:
    """Why a port does not open, which mpremote does not tell."""
    try:
        serial.serial_for_url(port, exclusive=True).close()
    except (serial.SerialException, OSError) as error:
        return error
    return None
