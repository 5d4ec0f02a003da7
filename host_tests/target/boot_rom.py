"""A chip in its boot ROM, at the other end of a pseudo-terminal: esp32-mock-bootloader's protocol
in a thread, with a reset whenever the port is closed, as the chip's own."""

import os
import pty
import select
import threading
import tty

from esp32_mock_bootloader.server import (  # type: ignore[import-untyped]
    FlashImage,
    handle_client,
    registers,
)
from esptool.targets import CHIP_DEFS  # type: ignore[import-untyped]

STOP_TIMEOUT_S = 10.0
# The package's C3 is of revision 0.0, which MicroPython's images refuse; those sold are 0.4.
registers.rom_profile("esp32c3")[CHIP_DEFS["esp32c3"].EFUSE_BLOCK1_ADDR + 12] = 4 << 18
_END = 0xC0  # of SLIP: before and after each frame
_READ_BYTES = 4096
_POLL_S = 0.05


class _Line:
    """What handle_client reads and writes. It gets whole frames, one at a time, and has to wait
    for each: it looks at all it has anew with each piece, takes one of several acknowledgements,
    and takes 50 ms without one for the end."""

    def __init__(self, master: int, slave: int, stopped: threading.Event) -> None:
        self._master = master
        self._slave: int | None = slave
        self._stopped = stopped
        self._received = bytearray()

    def set_timeout(self, timeout_s: float) -> None:
        pass

    def recv(self, size: int) -> bytes:
        """Empty when the port was closed."""
        while not self._stopped.is_set():
            if (frame := self._frame()) is not None:
                return frame
            if not select.select([self._master], [], [], _POLL_S)[0]:
                continue
            try:
                self._received += os.read(self._master, _READ_BYTES)
            except OSError:
                return b""
            # Whoever opened the port holds the other end now; that it is let go of shows only
            # when nobody else has it.
            self.release()
        raise TimeoutError

    def _frame(self) -> bytes | None:
        end = self._received.find(_END, 1)
        if end < 0:
            return None
        frame, self._received = bytes(self._received[: end + 1]), self._received[end + 1 :]
        return frame

    def sendall(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._master, data) :]

    def release(self) -> None:
        if self._slave is not None:
            os.close(self._slave)
            self._slave = None

    def close(self) -> None:
        self.release()

    def abort_empty_session(self) -> bool:
        return False

    def ignore_eof_for_disconnect(self) -> bool:
        return False


class BootRom:
    """From entering the `with` block to leaving it. `flash` is what the chip's 4 MiB hold."""

    def __init__(self, chip: str) -> None:
        self._chip = chip
        self._image = FlashImage()
        self._stopped = threading.Event()
        self._resets = threading.Semaphore(0)
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        self._thread = threading.Thread(target=self._serve, args=(slave,), daemon=True)

    @property
    def flash(self) -> bytearray:
        return self._image.data

    def wait_for_reset(self) -> None:
        """Returns when the chip has noticed that the last port was closed: the next one to open it
        talks to the boot ROM again."""
        assert self._resets.acquire(timeout=STOP_TIMEOUT_S)

    def __enter__(self) -> "BootRom":
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        self._thread.join(STOP_TIMEOUT_S)
        os.close(self._master)

    def _serve(self, slave: int) -> None:
        while True:
            line = _Line(self._master, slave, self._stopped)
            handle_client(
                line, self._stopped, self._chip, exit_on_disconnect=True, flash=self._image
            )
            if self._stopped.is_set():
                return
            slave = os.open(self.port, os.O_RDWR | os.O_NOCTTY)
            self._resets.release()
