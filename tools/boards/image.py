"""A board's MicroPython image: brought, and looked at before it is written anywhere."""

import re
from pathlib import Path

from tools.boards.description import Board, version_numbers
from tools.boards.errors import BoardError
from tools.fetch.install import install, is_installed
from tools.fetch.pins import read_pins

_VERSION = re.compile(rb"\bv(\d+\.\d+\.\d+(?:-preview)?)[^\0]{0,40} on \d{4}-\d\d-\d\d\0")
_MAX_IMAGE_BYTES = 16 * 1024 * 1024
_PHASE = "reading the image"


def pinned_image(board: Board) -> Path:
    """The image boards/ pins, fetched if it is not there. Raises BoardError or FetchError."""
    if board.image is None:
        hint = (
            f"Download one for {board.build} and name it: IMAGE=path. docs/hardware.md says where."
        )
        raise BoardError("choosing the image", f"no package carries one for {board.name}", hint)
    pin = read_pins()[board.image.part]
    if not is_installed(pin):
        install(pin)
    return board.image.path


def read_image(path: Path) -> bytes:
    """Raises BoardError."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > _MAX_IMAGE_BYTES:
            raise BoardError(_PHASE, f"{path} has {size_bytes} bytes", "No image is that large.")
        return path.read_bytes()
    except OSError as error:
        reason = f"{path}: {error.strerror}"
        raise BoardError(_PHASE, reason, "Check IMAGE=, or leave it away.") from error


def check_image(board: Board, code: bytes) -> str:
    """`code` is the image's program itself, out of its container. Returns its MicroPython version.
    Raises BoardError for another board's image, and for one that is too old."""
    found = _VERSION.search(code)
    if found is None:
        raise BoardError(_PHASE, "it is not MicroPython", "IMAGE is an image of MicroPython.")
    version = found[1].decode()
    if not re.search(rb"\b" + board.build.encode() + rb"\0", code):
        hint = f"{board.key} takes an image of {board.build}."
        raise BoardError(_PHASE, f"MicroPython {version}, but for another board", hint)
    if version_numbers(version) < version_numbers(board.minimum_micropython):
        hint = f"Take {board.minimum_micropython} or newer."
        raise BoardError(_PHASE, f"MicroPython {version} is too old", hint)
    return version
