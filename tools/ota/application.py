"""The application of an ESP32, taken out of the merged image that MicroPython is published as."""

from pathlib import Path

import esptool  # type: ignore[import-untyped]
from esptool.bin_image import LoadFirmwareImage  # type: ignore[import-untyped]

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
    code = _checked(board, code)
    version = check_image(board, code)
    if headroom_bytes(board, code) < 0:
        reason = f"{len(code)} bytes are {-headroom_bytes(board, code)} more than a partition has"
        raise OtaError(reason, "Take a smaller image: an older one, or one of your own.")
    return version, code


def _checked(board: Board, code: bytes) -> bytes:
    """The application without what may follow it in the file. esptool is the judge."""
    try:
        image = LoadFirmwareImage(str(board.esptool_chip), code)
    except esptool.FatalError as error:
        reason = str(error).strip().splitlines()[0]
        raise OtaError(reason, f"Take an image of {board.build}.") from error
    if image.checksum != image.calculate_checksum():
        raise OtaError("the application's checksum is wrong", "Download the image again.")
    if not image.append_digest or image.stored_digest != image.calc_digest:
        raise OtaError("the application's SHA-256 is wrong", "Download the image again.")
    return code[: image.data_length + len(image.stored_digest)]
