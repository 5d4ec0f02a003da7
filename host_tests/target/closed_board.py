"""An emulated Pico W that is watched from both sides: what its program writes to UART0, and what
somebody at the console gets who types whatever might open a prompt."""

import contextlib
import queue
import socket
import threading
import time
from pathlib import Path

from tools.pico import flash_image
from tools.pico.emulator_process import EmulatorProcess
from tools.pico.image import stock_image

# Ctrl-C to interrupt, Ctrl-B and Ctrl-A for the two prompts, Ctrl-D for a soft reset, code.
KEYS = b"\r\x03\x03\x02\r\x01print('a prompt')\x04\r\x03print('a prompt')\r\x04"
PATIENCE_S = 30.0
# What a program says on UART0, where it has no console. It waits until it is heard, without a
# pause: that takes real time, where pauses take none.
TELL = """
from machine import UART
_uart = UART(0, 921600)
def tell(*words):
    _uart.write(" ".join(map(str, words)) + "\\n")
    while not _uart.any():
        pass
    _uart.read(1)
"""
_HEARD = b"."


class WatchedBoard:
    """Has power within the `with` block. `flash`: where what it kept is, and stays."""

    def __init__(self, flash: Path, files: dict[str, bytes] | None = None) -> None:
        if files is not None:
            flash.write_bytes(flash_image(files))
        self._flash = flash
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __enter__(self) -> "WatchedBoard":
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._listen, daemon=True).start()
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.console_port = unused.getsockname()[1]
        uart = f"127.0.0.1:{self._listener.getsockname()[1]}"
        arguments = [str(stock_image()), "--flash", str(self._flash), "--uart0", uart]
        # A pause of the board takes no time here.
        arguments += ["--idle", "skip", "--repl-port", str(self.console_port)]
        self._emulator = EmulatorProcess(arguments)
        return self

    def __exit__(self, *_exception: object) -> None:
        self._emulator.stop()
        self._listener.close()

    def hears(self, times: int = 1, beginning: str = "") -> list[str]:
        """The next lines of the program, until so many of them began so."""
        heard: list[str] = []
        deadline = time.monotonic() + PATIENCE_S
        while times:
            try:
                heard.append(self._said.get(timeout=deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"it said no more than {heard[-20:]}") from None
            times -= heard[-1].startswith(beginning)
        return heard

    def has_usb(self, patience_s: float = PATIENCE_S) -> bool:
        """Whether the console comes up in this time."""
        try:
            self._emulator.wait_for("ready", patience_s)
        except Exception as error:
            assert "ready" in str(error), error
            return False
        return True

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError):
                for line in lines:
                    self._said.put(line.decode(errors="replace").strip())
                    connection.sendall(_HEARD)


class Console:
    """Somebody at the console, for one `with` block."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.seen = b""

    def __enter__(self) -> "Console":
        deadline = time.monotonic() + PATIENCE_S
        while True:  # the emulator is about to listen
            try:
                self._socket = socket.create_connection(("127.0.0.1", self._port), PATIENCE_S)
                return self
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
                time.sleep(0.1)

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def types(self, keys: bytes, times: int = 1, pause_s: float = 0.1) -> None:
        """Keys, again and again, and what comes back meanwhile."""
        for _ in range(times):
            self._socket.sendall(keys)
            self._look(pause_s)

    def sees(self, ending: bytes) -> bytes:
        deadline = time.monotonic() + PATIENCE_S
        while ending not in self.seen:
            assert time.monotonic() < deadline, self.seen[-500:]
            self._look(0.1)
        return self.seen

    def _look(self, for_s: float) -> None:
        end = time.monotonic() + for_s
        while (rest_s := end - time.monotonic()) > 0:
            self._socket.settimeout(rest_s)
            try:
                self.seen += self._socket.recv(4096)
            except TimeoutError:
                return
