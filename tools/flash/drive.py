"""The drive that the boot ROM of an RP2 shows."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tools.boards.errors import BoardError

INFO_FILE = "INFO_UF2.TXT"
# Where systems mount a drive by themselves.
_MOUNTS = ("/media/*/*", "/media/*", "/run/media/*/*", "/mnt/*", "/Volumes/*")
# What INFO_UF2.TXT says of the board, and the family its boot ROM takes.
_BOARD_IDS = {"RPI-RP2": 0xE48BFF56, "RP2350": 0xE48BFF59}


def find_drive(family: int, named: str | None, mounts: Iterable[str] = _MOUNTS) -> Path:
    """The drive of a board in its boot ROM. Raises BoardError when there is none, or when it is
    of another chip."""
    drives = [Path(named)] if named else sorted(_drives(mounts))
    if not drives:
        raise BoardError("finding the drive", "no board shows its drive", _by_hand())
    if len(drives) > 1:
        listed = ", ".join(map(str, drives))
        raise BoardError("finding the drive", f"there are {len(drives)}: {listed}", "PORT=one.")
    board_id = _board_id(drives[0])
    if _BOARD_IDS.get(board_id) != family:
        hint = "Check BOARD=; `make boards` lists them."
        raise BoardError("finding the drive", f"{drives[0]} is of another chip: {board_id}", hint)
    return drives[0]


def _drives(mounts: Iterable[str]) -> Iterator[Path]:
    for pattern in mounts:
        for path in Path("/").glob(pattern.lstrip("/")):
            try:
                if (path / INFO_FILE).is_file():
                    yield path
            except OSError:
                continue  # somebody else's


def _board_id(drive: Path) -> str:
    try:
        text = (drive / INFO_FILE).read_text("ascii", errors="replace")
    except OSError as error:
        reason = f"{drive} has no readable {INFO_FILE}"
        raise BoardError("finding the drive", reason, _by_hand()) from error
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Board-ID":
            return value.strip()
    return "unknown"


def _by_hand() -> str:
    return (
        "Hold BOOTSEL while plugging the board in: a drive RPI-RP2 or RP2350 appears. "
        "Mount it if your system does not, and name it if need be: PORT=/path/of/the/drive"
    )
