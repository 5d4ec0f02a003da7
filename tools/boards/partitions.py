"""The flash of an ESP32: partition tables, and the merged images that are built around one."""

from dataclasses import dataclass
from pathlib import Path

from esp_idf_defs import PartitionTable  # type: ignore[import-untyped]
from esp_idf_defs.partitions import APP_TYPE, InputError  # type: ignore[import-untyped]

from tools.boards.description import Board
from tools.boards.errors import BoardError

TABLE_BYTES = 0xC00
APPLICATION_OFFSET = 0x10000
# What an application should have left to grow by until the next image no longer fits its slot.
HEADROOM_BYTES = 64 * 1024
_MAGIC = 0xE9
_DESCRIPTION_MAGIC = bytes.fromhex("32 54 cd ab")
_DESCRIPTION_OFFSET = 0x20


@dataclass(frozen=True)
class MergedImage:
    """A MicroPython .bin as it is published, taken apart."""

    bootloader: bytes
    application: bytes


def read_table(board: Board) -> PartitionTable:
    """The board's partitions.csv, checked by Espressif's own rules and ours: it must fit the
    flash, with applications of one size. Raises BoardError."""
    path = _csv(board)
    try:
        table = PartitionTable.from_csv(path.read_text(encoding="utf-8"))
        table.verify()
        table.verify_size_fits(board.flash_bytes)
    except InputError as error:
        raise _bad_table(board, str(error)) from error
    sizes = {partition.size for partition in slots(table)}
    if len(sizes) != 1:
        raise _bad_table(board, f"applications have {len(sizes)} sizes, not one")
    return table


def slots(table: PartitionTable) -> list:
    """The partitions that hold an application."""
    return [partition for partition in table if partition.type == APP_TYPE]


def headroom_bytes(board: Board, application: bytes) -> int:
    """What is left of a slot; negative if the application does not fit."""
    return int(slots(read_table(board))[0].size) - len(application)


def take_apart(board: Board, content: bytes) -> MergedImage:
    """Raises BoardError for what is not a merged image, or is one of another chip."""
    table_at = board.partition_table_offset - board.bootloader_offset
    application_at = APPLICATION_OFFSET - board.bootloader_offset
    if content[:1] != bytes((_MAGIC,)):
        raise _not_merged("it is no image of an ESP32")
    if content[table_at : table_at + 2] != b"\xaa\x50":
        raise _not_merged(f"no partition table where the {board.chip} has it")
    description = application_at + _DESCRIPTION_OFFSET
    if content[description : description + 4] != _DESCRIPTION_MAGIC:
        raise _not_merged(f"no application at {APPLICATION_OFFSET:#x}")
    bootloader = content[:table_at].rstrip(b"\xff")
    return MergedImage(bootloader, content[application_at:])


def _csv(board: Board) -> Path:
    if board.partitions is None:
        hint = "Only ESP32 boards have one."
        raise BoardError("reading the partition table", f"{board.name} has none", hint)
    return board.partitions


def _bad_table(board: Board, reason: str) -> BoardError:
    hint = f"Correct {_csv(board)}."
    return BoardError("reading the partition table", reason, hint)


def _not_merged(reason: str) -> BoardError:
    hint = "IMAGE is a .bin of MicroPython for this board, as published (bootloader first)."
    return BoardError("reading the image", reason, hint)
