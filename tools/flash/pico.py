"""RP2s: what is copied onto their drive, which takes it and restarts the board."""

import os
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from tools.boards.description import Board
from tools.boards.errors import BoardError
from tools.boards.image import check_image, read_image
from tools.boards.uf2 import FLASH_START, make_uf2, read_uf2

_CHUNK_BYTES = 32 * 1024


def checked_image(board: Board, path: Path) -> tuple[str, bytes]:
    """MicroPython's version and the file's content. Raises BoardError."""
    content = read_image(path)
    found = read_uf2(content)
    if board.uf2_family not in found.families:
        hint = f"{board.key} takes an image of {board.build}."
        raise BoardError("reading the image", "it is for another chip", hint)
    return check_image(board, found.code), content


def eraser(board: Board) -> bytes:
    """A UF2 file that overwrites the files with what erased flash has; MicroPython makes an empty
    file system of it at its next start."""
    assert board.uf2_family is not None
    erased = b"\xff" * board.filesystem_bytes
    return make_uf2(board.uf2_family, FLASH_START + board.filesystem_offset, erased)


def copy(content: bytes, drive: Path, name: str) -> None:
    """Raises BoardError if the drive does not take all of it."""
    sent_bytes = 0
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    bar = Progress(*columns, console=Console(stderr=True))
    try:
        with bar, (drive / name).open("wb") as file:
            task = bar.add_task(f"to {drive}", total=len(content))
            for start in range(0, len(content), _CHUNK_BYTES):
                sent_bytes += file.write(content[start : start + _CHUNK_BYTES])
                file.flush()
                os.fsync(file.fileno())
                bar.update(task, completed=sent_bytes)
    except OSError as error:
        # The board restarts the moment it has the last block, under the hands of whoever writes.
        if sent_bytes < len(content):
            reason = f"the drive took {sent_bytes} of {len(content)} bytes: {error.strerror}"
            raise BoardError(
                "copying", reason, "Plug the board in again, with BOOTSEL."
            ) from error
