"""A board with slots, on the desk: one start of it. `board_program.py FOLDER CAUSE`

FOLDER is its flash: slotboot.mpy and what slotboot.py reads. CAUSE is why it was reset (1 power, 3
watchdog). What runs is a slot's own library and main; a reset ends this process.
"""

import os
import sys

import vfs
from told import say

folder, cause = sys.argv[1], int(sys.argv[2])
os.chdir(folder)
sys.path.append(folder)

import slotboot  # noqa: E402

name, slot = slotboot.choose(folder, cause)
say("starts", name=name)
vfs.mount(slot, "/slot")
scripts = [path for path in sys.path if path.endswith("device_scripts")]
sys.path[:] = ["/slot", ".frozen"] + scripts  # noqa: RUF005  # no [*x] in MicroPython
# What `told` imported of the library is not the slot's.
for name in [name for name in sys.modules if name.split(".")[0] == "iothub"]:
    del sys.modules[name]

from iothub.port import updates  # noqa: E402


def reset():
    say("reset")
    sys.exit()


updates.BOARD = "RPI_PICO_W"
updates.tree = updates.Tree(folder)
updates.reset = reset
updates.watch = lambda limit_ms: lambda: say("fed")

try:
    __import__("main")
except Exception as e:
    slotboot.note(f"it raised {type(e).__name__}: {e}", folder)
    say("raised", error=str(e))
