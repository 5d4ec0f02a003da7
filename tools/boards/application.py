"""The application of an ESP32: whether all of it is there, as esptool judges."""

import esptool  # type: ignore[import-untyped]
from esptool.bin_image import LoadFirmwareImage  # type: ignore[import-untyped]

from tools.boards.description import Board
from tools.boards.errors import BoardError

_AGAIN = "Download the image again."


def whole_application(board: Board, code: bytes) -> bytes:
    """The application without what may follow it in the file. Raises BoardError for another
    chip's, and for one that is cut or damaged."""
    try:
        image = LoadFirmwareImage(str(board.esptool_chip), code)
    except (esptool.FatalError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise _bad(reason, f"Take an image of {board.build}, and all of it.") from error
    if image.checksum != image.calculate_checksum():
        raise _bad("the application's checksum is wrong", _AGAIN)
    if not image.append_digest or image.stored_digest != image.calc_digest:
        raise _bad("the application's SHA-256 is wrong", _AGAIN)
    return code[: image.data_length + len(image.stored_digest)]


def _bad(reason: str, hint: str) -> BoardError:
    return BoardError("reading the image", reason, hint)
