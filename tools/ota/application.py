"""The application of an ESP32, taken out of the merged image that MicroPython is published as."""

from pathlib import Path

from tools.boards.application import whole_application
from tools.boards.description import Board
from tools.boards.image import check_image, read_image
from tools.boards.partitions import headroom_bytes, take_apart
from tools.ota.errors import OtaError

_DESCRIPTION_AT = 0x20
_DESCRIPTION_MAGIC = bytes.fromhex("32 54 cd ab")


def application(board: Board, path: Path) -> tuple[str, bytes]:
    """(MicroPython's version, application) of a merged image, or of a file that is one alone.
    Checked: header, chip, checksum, digest, and that the board's partitions have room for it.
    Raises OtaError and BoardError."""
    content = read_image(path)
    if content[_DESCRIPTION_AT : _DESCRIPTION_AT + 4] == _DESCRIPTION_MAGIC:
        code = content
    else:
        code = take_apart(board, content).application
    code = whole_application(board, code)
    version = check_image(board, code)
    if headroom_bytes(board, code) < 0:
        reason = f"{len(code)} bytes are {-headroom_bytes(board, code)} more than a partition has"
        raise OtaError(reason, "Take a smaller image: an older one, or one of your own.")
    return version, code
