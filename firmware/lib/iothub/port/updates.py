"""What updates need of the chip."""

import sys

from iothub.port.tree import Tree

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


def reset():
    import machine

    machine.reset()
