"""What updates need of the chip."""

import sys
import time

from iothub import port
from iothub.compat import const
from iothub.errors import BadInput
from iothub.port.tree import Tree

# What every chip's watchdog can count; an RP2040's no more than 8,388 ms.
_CHIP_MS = const(8000)
_TICK_MS = const(1000)

_timer = None  # kept: one that is collected ticks no more

# The board a firmware was built for, "RPI_PICO_W" or "ESP32_GENERIC_C3": whose images it takes.
# A trailer has room for 20 characters.
BOARD = getattr(sys.implementation, "_build", sys.platform)[:20]
# The .mpy version this firmware imports.
BYTECODE = getattr(sys.implementation, "_mpy", 0) & 0xFF
# The file system slots are on.
tree = Tree()


def running_partition():
    """The esp32.Partition the application runs from, or None on other chips."""
    if sys.platform != "esp32":
        return None
    from esp32 import Partition

    return Partition(Partition.RUNNING)


def spare_partition():
    """The esp32.Partition for the next application; None on other chips, and where the flash was
    laid out for one application only."""
    running = running_partition()
    if running is None:
        return None
    try:
        spare = running.get_next_update()
    except OSError:
        return None
    return spare if spare.info()[2] != running.info()[2] else None


def mark_valid():
    """Tells the ESP32's bootloader that the running application is good."""
    from esp32 import Partition

    Partition.mark_app_valid_cancel_rollback()


def inflate(file, wbits):
    """A file of what comes out of the raw deflate stream in `file`."""
    import deflate

    return deflate.DeflateIO(file, deflate.RAW, wbits)


def watch(limit_ms):
    """Starts the watchdog. Returns a function to be called at least every `limit_ms`. Where the
    chip cannot count so far, a timer feeds it meanwhile: it goes on while DNS or an RSA signature
    blocks all else, and what stops the timer too is found in 8 s."""
    global _timer
    try:
        port.watch(limit_ms)
        return port.feed
    except BadInput:
        port.watch(_CHIP_MS)
    from machine import Timer

    alive_ms = [time.ticks_ms()]

    def alive():
        alive_ms[0] = time.ticks_ms()

    def tick(timer):
        if time.ticks_diff(time.ticks_ms(), alive_ms[0]) < limit_ms:
            port.feed()

    _timer = Timer(-1, period=_TICK_MS, callback=tick)
    return alive


def reset():
    import machine

    machine.reset()
