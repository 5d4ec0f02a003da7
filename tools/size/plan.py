"""Reads groups.toml: which groups of modules are measured, and how much they may cost."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tools.size.library_files import compiled

FOLDER = Path(__file__).parent
GROUPS_FILE = FOLDER / "groups.toml"
PROBES_FOLDER = FOLDER / "probes"


@dataclass(frozen=True)
class Group:
    """Modules that are loaded together. `before`, `imports` and `setup` are MicroPython code;
    `also` names modules that are loaded for a moment only: their files count, not their heap."""

    name: str
    imports: str
    before: str = ""
    setup: str = ""
    also: tuple[str, ...] = ()
    heap_limit_bytes: int | None = None
    mpy_limit_bytes: int | None = None


def read_groups(path: Path = GROUPS_FILE) -> list[Group]:
    """Raises TypeError naming a field that is not known or missing."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["group"]
    return [Group(**table) for table in tables]


def read_everything(path: Path = GROUPS_FILE) -> Group:
    """What all modules together may cost."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))["everything"]
    return Group("everything, without asyncio", imports="", **table)


def read_probes(folder: Path = PROBES_FOLDER) -> dict[str, bytes]:
    """Returns each probe, compiled, by its name."""
    return {path.stem: compiled(path) for path in sorted(folder.glob("*.py"))}
