"""An emulated Pico W that runs a stock MicroPython image: `EmulatedPico`, `flash_image`."""

from tools.pico.board import EmulatedPico
from tools.pico.errors import BoardError, EmulatorError
from tools.pico.filesystem import flash_image

__all__ = ["BoardError", "EmulatedPico", "EmulatorError", "flash_image"]
