"""ESP32s, through esptool: which chip is there, and what is written where."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import esptool  # type: ignore[import-untyped]
from esp_idf_defs import PartitionTable  # type: ignore[import-untyped]
from esp_idf_defs.partitions import InputError  # type: ignore[import-untyped]
from esptool import cmds
from esptool.loader import ESPLoader  # type: ignore[import-untyped]

from tools.boards.application import whole_application
from tools.boards.description import Board
from tools.boards.errors import BoardError
from tools.boards.image import check_image, read_image
from tools.boards.partitions import (
    APPLICATION_OFFSET,
    TABLE_BYTES,
    headroom_bytes,
    read_table,
    take_apart,
)
from tools.boards.ports import port_error

# The chip begins at 115200; a USB adapter can do more, and 1.7 MB take 40 s less.
FAST_BAUD = 460_800
_CONNECT_ATTEMPTS = 4
_BY_HAND = "Hold BOOT, press and let go of RESET (EN), let go of BOOT; then try again."


@dataclass(frozen=True)
class Piece:
    """What is written at one offset of the flash."""

    name: str
    offset: int
    content: bytes


def pieces(board: Board, path: Path) -> tuple[str, list[Piece]]:
    """MicroPython's version, and what a merged image becomes on this board: its bootloader and its
    application, around the board's own partition table. Raises BoardError, also for an image that
    is cut or damaged: esptool would verify that it is on the board as it is."""
    merged = take_apart(board, read_image(path))
    version = check_image(board, merged.application)
    whole_application(board, merged.application)
    rest_bytes = headroom_bytes(board, merged.application)
    if rest_bytes < 0:
        reason = f"the application is {-rest_bytes} bytes too large for its place"
        hint = "Take a smaller image: an older one, or one of your own."
        raise BoardError("reading the image", reason, hint)
    table = read_table(board).to_binary()
    return version, [
        Piece("bootloader", board.bootloader_offset, merged.bootloader),
        Piece("partition table", board.partition_table_offset, table[:TABLE_BYTES]),
        Piece("application", APPLICATION_OFFSET, merged.application),
    ]


@contextmanager
def connected(board: Board, port: str) -> Iterator[ESPLoader]:
    """The chip with esptool's stub running; it is reset in the end. Raises BoardError when nothing
    answers, when it is another chip than the board's, and when the transfer fails."""
    esp = _connect(port)
    try:
        if board.chip != esp.CHIP_NAME:
            hint = f"BOARD={board.key} is for {board.chip}; `make boards` lists the others."
            raise BoardError("looking at the chip", f"this is {esp.CHIP_NAME}", hint)
        esp = cmds.run_stub(esp)
        esp.change_baud(FAST_BAUD)
        cmds.attach_flash(esp)
        _check_size(board, esp)
        yield esp
        cmds.reset_chip(esp, "hard-reset")
    except (esptool.FatalError, OSError) as error:
        hint = "Run it again; if it repeats, take another cable or USB socket."
        raise BoardError(
            "talking to the chip", str(error).strip().splitlines()[0], hint
        ) from error
    finally:
        esp._port.close()


def write(board: Board, esp: ESPLoader, wanted: list[Piece]) -> bool:
    """Writes the pieces; esptool compares their MD5 with the flash's afterwards. The files on the
    board stay if its partition table was this one already, else their partition is erased, since
    it lies elsewhere now. Returns whether they stayed."""
    table = read_table(board)
    same = _table_on(board, esp) == table.to_binary()[:TABLE_BYTES]
    for name in ("otadata",) if same else ("otadata", "vfs"):
        # Without otadata the bootloader starts the first application, which is the one written.
        partition = table.find_by_name(name)
        if partition is not None:  # one application needs none
            cmds.erase_region(esp, partition.offset, partition.size)
    cmds.write_flash(esp, [(piece.offset, piece.content) for piece in wanted], compress=True)
    return same


def erase(esp: ESPLoader) -> None:
    """The whole flash: image, files, secrets."""
    cmds.erase_flash(esp)


def _connect(port: str) -> ESPLoader:
    try:
        return cmds.detect_chip(port, connect_attempts=_CONNECT_ATTEMPTS)
    except (esptool.FatalError, OSError) as error:
        if "Could not open" in str(error) or isinstance(error, OSError):
            raise port_error(port, error.__context__ or error) from error
        reason = f"no chip answers at {port}"
        raise BoardError("connecting", reason, _BY_HAND) from error


def _check_size(board: Board, esp: ESPLoader) -> None:
    found = cmds.detect_flash_size(esp)
    size_bytes = esptool.util.flash_size_bytes(found) if found else None
    if size_bytes is not None and size_bytes < board.flash_bytes:
        hint = f"BOARD={board.key} needs {board.flash_bytes // 1024 // 1024} MB."
        raise BoardError("looking at the chip", f"its flash has {found} only", hint)


def _table_on(board: Board, esp: ESPLoader) -> bytes:
    """The partition table on the chip as bytes, empty where there is none."""
    content = cmds.read_flash(esp, board.partition_table_offset, TABLE_BYTES, no_progress=True)
    try:
        return bytes(PartitionTable.from_binary(content).to_binary()[:TABLE_BYTES])
    except InputError:
        return b""
