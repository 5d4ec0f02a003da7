"""Writes what was measured as Markdown and as JSON, and names what is over its limit."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from tools.size.measurement import Costs

INTRODUCTION = """\
Measured by `make size` on the emulated Pico W (RP2040 at 125 MHz) with the stock image: {image}.
Heap is the difference of `gc.mem_alloc()` after `gc.collect()`, from .mpy files. Times are
simulated, the least of 20 runs, each after `gc.collect()`; allocated is what one run leaves
behind, in bytes."""


def as_markdown(costs: Costs) -> str:
    """Returns tables with one figure a cell, in bytes or microseconds."""
    groups = [
        [
            cost.group.name,
            cost.import_heap_bytes,
            _limit(cost.group.heap_limit_bytes),
            cost.setup_heap_bytes,
            cost.mpy_bytes,
            _limit(cost.group.mpy_limit_bytes),
        ]
        for cost in costs.groups
    ]
    operations = [
        [
            operation.name,
            operation.microseconds,
            "" if operation.allocated_bytes is None else operation.allocated_bytes,
            _limit(operation.allocation_limit_bytes),
        ]
        for operation in costs.operations
    ]
    ratios = [
        [f"{ratio.name} / {ratio.reference}", f"{ratio.value:.3f}", f"≤ {ratio.limit:g}"]
        for ratio in costs.ratios
    ]
    modules: list[list[object]] = [
        [path, size_bytes] for path, size_bytes in sorted(costs.mpy_files.items())
    ]
    modules.append(["all", sum(costs.mpy_files.values())])
    heap_columns = [
        "modules",
        "heap after import",
        "limit",
        "heap of its objects",
        ".mpy",
        "limit",
    ]
    return "\n\n".join(
        [
            "# What it costs on an RP2040",
            INTRODUCTION.format(image=costs.image),
            _table("Heap", heap_columns, groups),
            _table("Operations", ["operation", "µs", "allocated", "limit"], operations),
            _table("Ratios", ["operation / reference", "times", "limit"], ratios),
            _table("Bytecode", ["file", "bytes"], modules),
        ]
    )


def as_json(costs: Costs) -> str:
    """Returns everything that was measured."""
    return json.dumps(asdict(costs), indent=2)


def over_limit(costs: Costs) -> list[str]:
    """Returns a sentence for each figure over its limit."""
    found = []
    for cost in costs.groups:
        for what, value, limit in (
            ("heap after import", cost.import_heap_bytes, cost.group.heap_limit_bytes),
            (".mpy", cost.mpy_bytes, cost.group.mpy_limit_bytes),
        ):
            if limit is not None and value > limit:
                found.append(f"{cost.group.name}: {what} is {value} bytes, limit {limit}")
    for operation in costs.operations:
        limit = operation.allocation_limit_bytes
        if limit is None or operation.allocated_bytes is None:
            continue
        if operation.allocated_bytes > limit:
            found.append(
                f"{operation.name}: leaves {operation.allocated_bytes} bytes, limit {limit}"
            )
        elif limit == 0 and not operation.runs_without_heap:
            found.append(f"{operation.name}: allocates and frees again, limit is no allocation")
    for ratio in costs.ratios:
        if ratio.value > ratio.limit:
            times = f"{ratio.value:.3f} times {ratio.reference}"
            found.append(f"{ratio.name}: takes {times}, limit {ratio.limit:g}")
    return found


def _limit(value: int | None) -> str:
    return "" if value is None else f"≤ {value}"


def _table(title: str, columns: list[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [f"## {title}", "", f"| {' | '.join(columns)} |"]
    lines.append(f"|---|{'---:|' * (len(columns) - 1)}")
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)
