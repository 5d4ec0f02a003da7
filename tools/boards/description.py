"""Reads boards/*/board.toml."""

import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tools.boards.errors import BoardError
from tools.fetch.install import CLONE

FOLDER = CLONE / "boards"
# BOARD=esp32-files: the same board, its flash laid out for one application and more files.
FILES = "-files"


@dataclass(frozen=True)
class Image:
    """A MicroPython image that tools/fetch can bring; `part` is its name there."""

    version: str
    part: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Board:
    """A board.toml. What a port does not have is None or 0: `esptool_chip`, `partitions` and the
    offsets of bootloader and table are of ESP32s; `uf2_family` and the file system, which an ESP32
    has in its partition table, of RP2s. `image` is None where no package carries one."""

    key: str
    name: str
    chip: str
    port: str
    build: str
    minimum_micropython: str
    tested: str
    flash_bytes: int
    mpy_version: str
    image: Image | None = None
    esptool_chip: str | None = None
    bootloader_offset: int = 0
    partition_table_offset: int = 0
    partitions: Path | None = None
    uf2_family: int | None = None
    filesystem_offset: int = 0
    filesystem_bytes: int = 0
    pins: dict[str, int | str] = field(default_factory=dict)

    @property
    def is_esp32(self) -> bool:
        return self.port == "esp32"


def board_keys() -> list[str]:
    """The names BOARD= may have."""
    return sorted(path.parent.name for path in FOLDER.glob("*/board.toml"))


def read_board(key: str) -> Board:
    """`key` is one of board_keys(), or that with FILES. Raises BoardError for a board that is not
    there, or whose file lacks a field."""
    name = key.removesuffix(FILES)
    if name not in board_keys():
        raise _unknown(key)
    folder = FOLDER / name
    try:
        table = tomllib.loads((folder / "board.toml").read_text(encoding="utf-8"))
        board = _board(folder, table)
        return board if name == key else _for_files(board, folder, table)
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        reason = f"boards/{name}/board.toml: {error!r}"
        hint = "Restore the file from version control."
        raise BoardError("reading the board", reason, hint) from error


def version_numbers(version: str) -> tuple[int, ...]:
    """(1, 27, 0) of "1.27.0", "v1.27" or "1.29.0-preview", to compare by."""
    plain = version.removeprefix("v").split("-")[0].split("+")[0]
    numbers = [int(part) for part in plain.split(".") if part.isdigit()]
    return (*numbers, 0, 0, 0)[:3]


def _board(folder: Path, table: dict[str, Any]) -> Board:
    flash = table["flash"]
    image = table["image"]
    files = table.get("filesystem", {})
    return Board(
        key=folder.name,
        name=table["name"],
        chip=table["chip"],
        port=table["port"],
        build=table["build"],
        minimum_micropython=table["minimum_micropython"],
        tested=table["tested"],
        flash_bytes=flash["size_bytes"],
        mpy_version=table["bytecode"]["mpy_version"],
        image=Image(image["version"], image["part"], CLONE / image["path"], image["sha256"])
        if image
        else None,
        esptool_chip=table.get("esptool_chip"),
        bootloader_offset=flash.get("bootloader_offset_bytes", 0),
        partition_table_offset=flash.get("partition_table_offset_bytes", 0),
        partitions=folder / flash["partitions"] if "partitions" in flash else None,
        uf2_family=table.get("uf2_family"),
        filesystem_offset=files.get("offset_bytes", 0),
        filesystem_bytes=files.get("block_bytes", 0) * files.get("blocks", 0),
        pins=table["pins"],
    )


def _for_files(board: Board, folder: Path, table: dict[str, Any]) -> Board:
    if not board.is_esp32:
        raise _unknown(board.key + FILES)
    return replace(
        board,
        key=board.key + FILES,
        name=f"{board.name}, laid out for files",
        partitions=folder / table["flash"]["partitions_for_files"],
    )


def _unknown(key: str) -> BoardError:
    reason = f"there is no board {key!r}" if key else "no board was named"
    return BoardError(
        "choosing the board",
        reason,
        f"BOARD is one of {', '.join(board_keys())}; an ESP32's may end in {FILES}.",
    )
