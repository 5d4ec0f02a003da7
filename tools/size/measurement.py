"""What was measured, and how it is measured on the board."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.pico import EmulatedPico, flash_image
from tools.size.library_files import compiled
from tools.size.peaks import PeakCost
from tools.size.plan import FOLDER, Group

LIBRARY = "/lib/"
PROBES = "/probes/"
MEASURE_FILE = FOLDER / "board" / "measure.py"
ALLOCATED_NOW = "import gc\ngc.collect()\ngc.collect()\nprint(gc.mem_alloc())"
# Frozen, but not without heap; it loads its parts on first use.
ASYNCIO = "import asyncio; asyncio.Event; asyncio.open_connection; asyncio.wait_for_ms"
PROBE_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class GroupCost:
    """Bytes of heap and of bytecode; `modules` are those that came from .mpy files."""

    group: Group
    import_heap_bytes: int
    setup_heap_bytes: int
    mpy_bytes: int
    modules: tuple[str, ...]


@dataclass(frozen=True)
class ModuleCost:
    """Bytes that one module adds to those before it."""

    name: str
    heap_bytes: int
    mpy_bytes: int


@dataclass(frozen=True)
class OperationCost:
    """The least of many runs, without the call itself. Microseconds are simulated ones."""

    probe: str
    name: str
    microseconds: int
    allocated_bytes: int | None  # None where it was not counted
    runs_without_heap: bool
    allocation_limit_bytes: int | None


@dataclass(frozen=True)
class Ratio:
    """How many times as long one operation takes as another, and how many times it may."""

    probe: str
    name: str
    reference: str
    value: float
    limit: float


@dataclass(frozen=True)
class Costs:
    """All that one run measured; `mpy_files` are bytes by path on the board."""

    image: str
    mpy_files: dict[str, int]
    groups: list[GroupCost]
    modules: list[ModuleCost]
    operations: list[OperationCost]
    ratios: list[Ratio]
    peaks: list[PeakCost] = field(default_factory=list)


def measure(
    files: dict[str, bytes],
    groups: list[Group],
    probes: dict[str, bytes],
    modules: Sequence[str] = (),
) -> Costs:
    """Boots the emulated board with `files` (path on the board: content) and measures. `modules`
    are imported one after the other.

    Raises `tools.pico.BoardError` when code of a group or a probe raised on the board.
    """
    content = dict(files)
    content[LIBRARY + MEASURE_FILE.with_suffix(".mpy").name] = compiled(MEASURE_FILE)
    for name, source in probes.items():
        content[f"{PROBES}{name}.mpy"] = source
    mpy_files = {path: len(data) for path, data in files.items() if path.endswith(".mpy")}
    operations: list[OperationCost] = []
    ratios: list[Ratio] = []
    with TemporaryDirectory(prefix="size-") as folder:
        flash = Path(folder) / "flash.bin"
        flash.write_bytes(flash_image(content))
        with EmulatedPico(flash=flash) as board:
            image = board.exec("import os; print(os.uname().version, end='')").decode()
            group_costs = [_measure_group(board, group, mpy_files) for group in groups]
            module_costs = _measure_modules(board, modules, mpy_files)
            for name in probes:
                probe_operations, probe_ratios = _run_probe(board, name)
                operations += probe_operations
                ratios += probe_ratios
    return Costs(image, mpy_files, group_costs, module_costs, operations, ratios)


def _measure_group(board: EmulatedPico, group: Group, mpy_files: dict[str, int]) -> GroupCost:
    board.soft_reset()
    _run(board, group.before)
    modules_before = _modules(board)
    at_start = int(board.exec(ALLOCATED_NOW))
    _run(board, group.imports)
    imported = int(board.exec(ALLOCATED_NOW))
    _run(board, group.setup)
    set_up = int(board.exec(ALLOCATED_NOW))
    paths = {_mpy_path(name, mpy_files): name for name in _modules(board) - modules_before}
    modules = {path: name for path, name in paths.items() if path is not None}
    return GroupCost(
        group=group,
        import_heap_bytes=imported - at_start,
        setup_heap_bytes=set_up - imported,
        mpy_bytes=files_bytes([*modules.values(), *group.also], mpy_files),
        modules=tuple(sorted(modules.values())),
    )


def files_bytes(modules: Iterable[str], mpy_files: dict[str, int]) -> int:
    """The files of these modules, each once. Raises KeyError for a module without one."""
    paths = {name: _mpy_path(name, mpy_files) for name in modules}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        raise KeyError(f"no file of {missing}")
    return sum(mpy_files[path] for path in paths.values() if path is not None)


def _measure_modules(
    board: EmulatedPico, modules: Sequence[str], mpy_files: dict[str, int]
) -> list[ModuleCost]:
    if not modules:
        return []
    board.soft_reset()
    board.exec(ASYNCIO)
    costs = []
    before = int(board.exec(ALLOCATED_NOW))
    for name in modules:
        board.exec(f"import {name}")
        now = int(board.exec(ALLOCATED_NOW))
        path = _mpy_path(name, mpy_files)
        costs.append(ModuleCost(name, now - before, mpy_files[path] if path else 0))
        before = now
    return costs


def together(group: Group, modules: list[ModuleCost]) -> GroupCost:
    """What all modules cost, one after the other."""
    return GroupCost(
        group=group,
        import_heap_bytes=sum(cost.heap_bytes for cost in modules),
        setup_heap_bytes=0,
        mpy_bytes=sum(cost.mpy_bytes for cost in modules),
        modules=tuple(cost.name for cost in modules),
    )


def _run(board: EmulatedPico, code: str) -> None:
    if code:
        board.exec(code)


def _modules(board: EmulatedPico) -> set[str]:
    return set(board.exec("import sys\nprint(*sys.modules)").decode().split())


def _mpy_path(module: str, mpy_files: dict[str, int]) -> str | None:
    base = LIBRARY + module.replace(".", "/")
    for path in (f"{base}.mpy", f"{base}/__init__.mpy"):
        if path in mpy_files:
            return path
    return None


def _run_probe(board: EmulatedPico, name: str) -> tuple[list[OperationCost], list[Ratio]]:
    board.soft_reset()
    code = f"import sys\nsys.path.append({PROBES[:-1]!r})\nimport measure\nmeasure.run({name!r})"
    found = json.loads(board.exec(code, timeout_s=PROBE_TIMEOUT_S))
    limits = dict(found["allocations"])
    operations = [
        OperationCost(name, title, least_us, allocated, without_heap, limits.pop(title, None))
        for title, least_us, allocated, without_heap in found["operations"]
    ]
    least_us = {operation.name: operation.microseconds for operation in operations}
    unknown = {*limits, *(title for ratio in found["ratios"] for title in ratio[:2])} - {*least_us}
    if unknown:
        raise ValueError(f"probe {name}: limits for operations that it has not: {sorted(unknown)}")
    ratios = [
        Ratio(name, title, reference, least_us[title] / least_us[reference], limit)
        for title, reference, limit in found["ratios"]
    ]
    return operations, ratios
