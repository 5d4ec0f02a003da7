"""The MicroPython image the emulated board runs, fetched on first use."""

from pathlib import Path

from tools.fetch.install import install, is_installed
from tools.fetch.pins import read_pins
from tools.pico.description import describe_board


def stock_image() -> Path:
    """Returns the path of the stock image. Raises `tools.fetch.errors.FetchError`."""
    board = describe_board()
    pin = read_pins()[board.image_part]
    if not is_installed(pin):
        install(pin)
    return board.image_path
