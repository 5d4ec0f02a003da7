"""An emulated Pico W to run code on, spoken to as mpremote speaks to a real one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType

from mpremote.transport import TransportError  # type: ignore[import-untyped]
from serial import SerialException  # type: ignore[import-untyped]

from tools.pico.console import END_OF_OUTPUT, Console
from tools.pico.emulator_process import EmulatorProcess
from tools.pico.errors import BoardError, EmulatorError
from tools.pico.image import stock_image

START_TIMEOUT_S = 60.0
# Of real time: what was printed before a reset may still be on its way after it.
LAST_WORDS_S = 0.3
COPY_CHUNK_BYTES = 4096


class EmulatedPico:
    """A Pico W that runs from entering the `with` block to leaving it.

    image: UF2 file; without it the stock image, which is fetched on first use.
    flash: file that keeps the 2 MiB of flash; made if it is not there (see `flash_image`).
    uart0, uart1: (host, port) of a TCP server that this UART is connected to.
    skip_idle: whether the board's sleep takes no real time; by default so without a UART.

    Timeouts are in real time: the board computes several times slower than a real one.
    """

    def __init__(
        self,
        image: Path | None = None,
        flash: Path | None = None,
        uart0: tuple[str, int] | None = None,
        uart1: tuple[str, int] | None = None,
        skip_idle: bool | None = None,
    ) -> None:
        self._arguments = [str(image or stock_image())]
        if flash is not None:
            self._arguments += ["--flash", str(flash)]
        for option, server in (("--uart0", uart0), ("--uart1", uart1)):
            if server is not None:
                self._arguments += [option, f"{server[0]}:{server[1]}"]
        if skip_idle is not None:
            self._arguments += ["--idle", "skip" if skip_idle else "real"]
        self._emulator: EmulatorProcess | None = None
        self._console: Console | None = None

    def __enter__(self) -> "EmulatedPico":
        self._emulator = EmulatorProcess(self._arguments)
        try:
            port = self._emulator.wait_for("ready", START_TIMEOUT_S)["port"]
            self._console = Console(port)
        except BaseException:
            self._emulator.stop()
            raise
        self.address = f"socket://127.0.0.1:{port}"
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        emulator, console = self._parts()
        console.close()
        emulator.stop()
        self._emulator = self._console = None

    def exec(self, code: str | bytes, timeout_s: float = 60.0) -> bytes:
        """Runs `code` on the board and returns what it printed.

        Names stay from one call to the next, up to a reset. Raises `BoardError` with the traceback
        if the code raised, `EmulatorError` if it did not end in time or the emulator ended.
        """
        with self._connected() as console:
            console.start(code)
            output = console.read_until(END_OF_OUTPUT, timeout_s)
            if not output.endswith(END_OF_OUTPUT):
                reason = f"not finished after {timeout_s:g} s of real time"
                raise EmulatorError(f"running code: {reason}; it had printed {output[-500:]!r}")
            traceback = console.read_until(END_OF_OUTPUT, timeout_s)
        output = output[: -len(END_OF_OUTPUT)]
        traceback = traceback[: -len(END_OF_OUTPUT)]
        if traceback:
            raise BoardError(traceback.decode(errors="replace"), output)
        return output

    def exec_until_reset(self, code: str | bytes, timeout_s: float = START_TIMEOUT_S) -> bytes:
        """Runs `code`, waits for the reset it leads to and the start after it, and returns what
        was printed before. Raises `EmulatorError` if no reset comes in time."""
        with self._connected() as console:
            console.start(code)
            self.wait_for_reset(timeout_s)
            return console.read_until(END_OF_OUTPUT, LAST_WORDS_S)

    def read_console(self, ending: bytes, timeout_s: float = 60.0) -> bytes:
        """Returns what a program that runs by itself (main.py) prints, up to and with `ending`.

        From the start on: the console keeps the newest 64 KiB for its first reader. Raises
        `EmulatorError` if `ending` does not come in time.
        """
        with self._connected() as console:
            output = console.read_until(ending, timeout_s)
        if not output.endswith(ending):
            reason = f"no {ending!r} after {timeout_s:g} s of real time, but {output[-500:]!r}"
            raise EmulatorError(f"reading the console: {reason}")
        return output

    def reset(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Does `machine.reset()` and waits until the board's USB is up again."""
        with self._connected() as console:
            console.start("import machine; machine.reset()")
        self.wait_for_reset(timeout_s)

    def soft_reset(self) -> None:
        """Clears the heap and runs boot.py, but not main.py, as mpremote's soft-reset does."""
        with self._connected() as console:
            console.soft_reset()

    def wait_for_reset(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Waits for a reset that a program or the watchdog makes, and for the start after it."""
        emulator, console = self._parts()
        emulator.wait_for("reset", timeout_s)
        emulator.wait_for("ready", timeout_s)
        console.leave_repl()

    def put_tree(self, folder: Path, target: str = "/") -> None:
        """Copies what is in `folder` into `target` on the board, made if needed, over the REPL."""
        with self._connected() as console:
            repl = console.repl()
            above = PurePosixPath(target)
            for level in [*reversed(above.parents), above]:
                if not repl.fs_exists(str(level)):
                    repl.fs_mkdir(str(level))
            for path in sorted(folder.rglob("*")):
                place = f"{target.rstrip('/')}/{path.relative_to(folder).as_posix()}"
                if path.is_file():
                    repl.fs_writefile(place, path.read_bytes(), chunk_size=COPY_CHUNK_BYTES)
                elif not repl.fs_exists(place):
                    repl.fs_mkdir(place)

    def _parts(self) -> tuple[EmulatorProcess, Console]:
        if self._emulator is None or self._console is None:
            raise EmulatorError("the board is off: use it inside `with EmulatedPico() as board:`")
        return self._emulator, self._console

    @contextmanager
    def _connected(self) -> Iterator[Console]:
        """Gives the console; tells what fails on the line as what went wrong with the board."""
        emulator, console = self._parts()
        try:
            yield console
        except (TransportError, SerialException, OSError) as error:
            reason = emulator.describe_end() if emulator.has_ended() else str(error)
            raise EmulatorError(f"talking to the board: {reason}") from error
