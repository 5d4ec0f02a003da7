"""A board made of the Unix port: MicroPython's REPL at a pseudo-terminal, over a LittleFS in a
file, with boot.py and main.py run as boards do. Power can be cut at any moment."""

import os
import pty
import subprocess
import threading
import tty
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / ".venv/bin/micropython"
STOP_TIMEOUT_S = 10.0
# The Pico W's, as boards/pico_w says.
BLOCK_BYTES = 4096
BLOCKS = 212
_MACHINE = """
import sys, vfs


class WDT:
    def __init__(self, timeout):
        pass

    def feed(self):
        pass


class Timer:
    def __init__(self, number, **settings):
        pass


class Machine:
    WDT = WDT
    Timer = Timer

    def reset_cause(self):
        return 1

    def unique_id(self):
        return {unique_id!r}.encode()

    def reset(self):
        sys.exit()


sys.modules["machine"] = Machine()


class Flash:
    def __init__(self, file):
        self.file = file

    def readblocks(self, number, buf, offset=0):
        self.file.seek(number * {block} + offset)
        self.file.readinto(buf)

    def writeblocks(self, number, buf, offset=0):
        self.file.seek(number * {block} + offset)
        self.file.write(buf)

    def ioctl(self, operation, value):
        if operation == 4:
            return {blocks}
        if operation == 5:
            return {block}
        if operation == 3:
            self.file.flush()
        return 0


_flash = Flash(open({path!r}, "r+b"))
vfs.umount("/")
try:
    vfs.mount(vfs.VfsLfs2(_flash), "/")
except OSError:
    vfs.VfsLfs2.mkfs(_flash)
    vfs.mount(vfs.VfsLfs2(_flash), "/")
sys.path[:] = ["", ".frozen", "/lib"]
for _name in ("boot.py", "main.py"):
    try:
        _text = open(_name).read()
    except OSError:
        continue
    try:
        exec(_text)
    except KeyboardInterrupt:
        pass
    except BaseException as _error:
        sys.print_exception(_error)
"""


class DeskBoard:
    """Has power from entering the `with` block to leaving it. `port` is where mpremote opens it;
    Ctrl-D at the REPL, or what ends the interpreter, starts it anew."""

    def __init__(self, folder: Path, unique_id: str = "desk") -> None:
        self._flash = folder / "flash.bin"
        if not self._flash.exists():
            self._flash.write_bytes(b"\xff" * BLOCK_BYTES * BLOCKS)
        self._program = folder / "machine.py"
        self._program.write_text(
            _MACHINE.format(
                block=BLOCK_BYTES, blocks=BLOCKS, path=str(self._flash), unique_id=unique_id
            )
        )
        self._lock = threading.Lock()

    def __enter__(self) -> "DeskBoard":
        self._has_power = True
        # The interpreter has the end that a computer's serial port would be wired to. Somebody
        # has to hold the other one open, or it reads the end of its input.
        self._wire, self._held = pty.openpty()
        tty.setraw(self._held)
        self.port = os.ttyname(self._held)
        self._interpreter = self._start()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.cut_power()
        os.close(self._held)
        os.close(self._wire)

    def restart(self) -> None:
        """As the reset button does."""
        with self._lock:
            self._interpreter.kill()

    def cut_power(self) -> None:
        """At once. What is in the flash stays; enter the block anew to give power back."""
        with self._lock:
            self._has_power = False
            self._interpreter.kill()
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            self._interpreter.wait()
            with self._lock:
                if not self._has_power:
                    return
                self._interpreter = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [MICROPYTHON, "-i", self._program],
            stdin=self._wire,
            stdout=self._wire,
            stderr=subprocess.DEVNULL,
            cwd=self._program.parent,
        )
