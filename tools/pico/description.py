"""The Pico W as boards/pico_w/board.toml describes it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

CLONE = Path(__file__).resolve().parents[2]
BOARD_FILE = CLONE / "boards" / "pico_w" / "board.toml"


@dataclass(frozen=True)
class Filesystem:
    """LittleFS on the board: where it begins in the flash, and its geometry, in bytes."""

    offset_bytes: int
    block_bytes: int
    blocks: int
    read_bytes: int
    program_bytes: int
    lookahead_bytes: int
    disk_version: str


@dataclass(frozen=True)
class BoardDescription:
    """What tools need to know of the board."""

    image_part: str
    image_path: Path
    image_version: str
    image_sha256: str
    mpy_version: str
    architecture: str
    flash_bytes: int
    filesystem: Filesystem


def describe_board(path: Path = BOARD_FILE) -> BoardDescription:
    """Reads a board.toml. Raises KeyError naming a field that is missing."""
    board = tomllib.loads(path.read_text(encoding="utf-8"))
    filesystem = board["filesystem"]
    return BoardDescription(
        image_part=board["image"]["part"],
        image_path=CLONE / board["image"]["path"],
        image_version=board["image"]["version"],
        image_sha256=board["image"]["sha256"],
        mpy_version=board["bytecode"]["mpy_version"],
        architecture=board["bytecode"]["architecture"],
        flash_bytes=board["flash"]["size_bytes"],
        filesystem=Filesystem(
            offset_bytes=filesystem["offset_bytes"],
            block_bytes=filesystem["block_bytes"],
            blocks=filesystem["blocks"],
            read_bytes=filesystem["read_bytes"],
            program_bytes=filesystem["program_bytes"],
            lookahead_bytes=filesystem["lookahead_bytes"],
            disk_version=filesystem["disk_version"],
        ),
    )
