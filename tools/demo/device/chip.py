"""What a chip has and MicroPython's Unix port has not; then boot.py and main.py, as on chips.

    chip.py FLASH CAUSE

FLASH is a folder, from here on the root of the file system. CAUSE is why the chip was reset, as an
RP2040 numbers it. A reset ends the process by SIGUSR1; who started it starts it again. The desk
has no watchdog: what hangs here hangs.
"""

import os
import sys
import time

import vfs

_flash = sys.argv[1]
_cause = int(sys.argv[2])
_started_ms = time.ticks_ms()


class _Unfed:
    """A watchdog, or a timer to feed it, that never barks."""

    def __init__(self, *_number, **_settings):
        pass

    def feed(self):
        pass

    def deinit(self):
        pass


class Machine:
    WDT = _Unfed
    Timer = _Unfed

    @staticmethod
    def reset_cause():
        return _cause

    @staticmethod
    def reset():
        os.system("kill -USR1 $PPID")  # not an exception, which a program might catch
        while True:
            time.sleep(1)


class _Time:
    """As `time`, with ticks that begin with the chip: boot.py tells a soft reset by them."""


for _name in dir(time):
    setattr(_Time, _name, getattr(time, _name))
setattr(_Time, "ticks_ms", lambda: time.ticks_diff(time.ticks_ms(), _started_ms))  # noqa: B010

modules: dict = sys.modules  # what may stand for a module, the stubs do not know
modules["machine"] = Machine
vfs.umount("/")
vfs.mount(vfs.VfsPosix(_flash), "/")  # type: ignore[abstract]
os.chdir("/")
sys.path[:] = ["", ".frozen", "/lib"]


def _run(path):
    with open(path) as source:
        exec(source.read(), {"__name__": "__main__"})


modules["time"] = _Time
_run("boot.py")
del modules["time"]  # asyncio knows the ticks of the interpreter only
_run("main.py")
