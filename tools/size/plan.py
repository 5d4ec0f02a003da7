"""Reads groups.toml: which groups of modules are measured, and how much they may cost."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.size.at_once import held_at_once
from tools.size.library_files import compiled

FOLDER = Path(__file__).parent
GROUPS_FILE = FOLDER / "groups.toml"
PROBES_FOLDER = FOLDER / "probes"
AT_ONCE = "everything a device can hold at once, without asyncio"
EVERYTHING = "everything there is, one after the other, without asyncio"


@dataclass(frozen=True)
class Group:
    """Modules that are loaded together. `before`, `imports` and `setup` are MicroPython code;
    `also` names modules that are loaded for a moment only: their files count, not their heap.
    `peer` is its name among the peers, if it has a row there."""

    name: str
    imports: str
    before: str = ""
    setup: str = ""
    also: tuple[str, ...] = ()
    peer: str = ""
    heap_limit_bytes: int | None = None
    mpy_limit_bytes: int | None = None


def read_groups(path: Path = GROUPS_FILE) -> list[Group]:
    """Raises TypeError naming a field that is not known or missing."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["group"]
    return [Group(**table) for table in tables]


def read_at_once(modules: Sequence[str], path: Path = GROUPS_FILE) -> Group:
    """Of `modules` those that one device can have loaded at the same time."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))["at_once"]
    kept = held_at_once(modules, table.pop("without"))
    # The collector in between, or what loading leaves behind would scatter the modules.
    imports = "\n".join(f"import {name}; gc.collect()" for name in kept)
    return Group(AT_ONCE, imports=imports, **table)


def read_everything(path: Path = GROUPS_FILE) -> Group:
    """What all modules together may cost."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))["everything"]
    return Group(EVERYTHING, imports="", **table)


def read_probes(folder: Path = PROBES_FOLDER) -> dict[str, bytes]:
    """Returns each probe, compiled, by its name."""
    return {path.stem: compiled(path) for path in sorted(folder.glob("*.py"))}
