"""Writes what was measured as Markdown and as JSON, and names what is over its limit."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from tools.size import words
from tools.size.measurement import Costs
from tools.size.peers import read_peers

Table = tuple[list[str], list[list[object]]]

# To which side the columns of a table lean: a name, then figures.
_FIGURES = "lr"


def as_markdown(costs: Costs, chinese: bool = False) -> str:
    """Returns tables with one figure a cell, the unit in the head of its column."""
    language = int(chinese)

    def section(
        names: tuple[tuple[str, str], ...],
        columns: list[str],
        rows: Sequence[Sequence[object]],
        note: tuple[str, str] = ("", ""),
        sides: str = _FIGURES,
    ) -> str:
        heads = [words.CHINESE[column] if chinese else column for column in columns]
        parts = [f"## {names[0][language]}", note[language], _table(heads, rows, sides)]
        return "\n\n".join(part for part in parts if part)

    contents = "\n".join(
        f"- [{title[language]}](#{title[language].lower().replace(' ', '-')}): {about[language]}"
        for title, about in words.SECTIONS
    )
    return "\n\n".join(
        [
            f"# {words.TITLE[language]}",
            words.OTHER[language],
            words.INTRODUCTION[language].format(image=costs.image),
            contents,
            section(words.HEAP, *_heap(costs), words.HEAP_NOTE),
            section(words.MODULES, *_modules(costs), words.MODULES_NOTE),
            section(words.PEAKS, *_peaks(costs), words.PEAKS_NOTE),
            section(words.OPERATIONS, *_operations(costs), words.OPERATIONS_NOTE),
            section(words.RATIOS, *_ratios(costs)),
            section(words.BYTECODE, ["files", "bytes"], [["all", sum(costs.mpy_files.values())]]),
            section(words.PEERS, *_peers(costs, language), words.PEERS_NOTE, "llrrl"),
        ]
    )


def _heap(costs: Costs) -> Table:
    columns = ["heap after import (bytes)", "limit (bytes)", "heap of its objects (bytes)"]
    rows: list[list[object]] = [
        [
            cost.group.name,
            cost.import_heap_bytes,
            _limit(cost.group.heap_limit_bytes),
            cost.setup_heap_bytes if cost.group.setup else "",
            cost.mpy_bytes,
            _limit(cost.group.mpy_limit_bytes),
        ]
        for cost in costs.groups
    ]
    return ["modules", *columns, ".mpy (bytes)", "limit (bytes)"], rows


def _modules(costs: Costs) -> Table:
    rows: list[list[object]] = [[c.name, c.heap_bytes, c.mpy_bytes] for c in costs.modules]
    return ["module", "heap (bytes)", ".mpy (bytes)"], rows


def _peaks(costs: Costs) -> Table:
    rows: list[list[object]] = [
        [peak.name, peak.peak_bytes, _limit(peak.limit_bytes), peak.kept_bytes]
        for peak in costs.peaks
    ]
    return ["work", "peak (bytes)", "limit (bytes)", "kept (bytes)"], rows


def _operations(costs: Costs) -> Table:
    rows: list[list[object]] = [
        [
            operation.name,
            operation.microseconds,
            "" if operation.allocated_bytes is None else operation.allocated_bytes,
            _limit(operation.allocation_limit_bytes),
        ]
        for operation in costs.operations
    ]
    return ["operation", "time (µs)", "allocated (bytes)", "limit (bytes)"], rows


def _ratios(costs: Costs) -> Table:
    rows: list[list[object]] = [
        [f"{ratio.name} / {ratio.reference}", f"{ratio.value:.3f}", f"≤ {ratio.limit:g}"]
        for ratio in costs.ratios
    ]
    return ["operation / reference", "times", "limit"], rows


def _peers(costs: Costs, language: int) -> Table:
    rows: list[list[object]] = [
        [
            cost.group.peer,
            cost.group.name,
            f"{cost.import_heap_bytes} B",
            f"{cost.mpy_bytes} B",
            words.THIS_RUN[language],
        ]
        for cost in costs.groups
        if cost.group.peer
    ]
    rows += [
        [peer.name, peer.what[language], peer.heap, peer.code, peer.source]
        for peer in read_peers()
    ]
    return ["library", "what", "heap or RAM", "code", "source"], rows


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
    for peak in costs.peaks:
        if peak.limit_bytes is not None and peak.peak_bytes > peak.limit_bytes:
            found.append(f"{peak.name}: {peak.peak_bytes} bytes at peak, limit {peak.limit_bytes}")
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


def _table(columns: list[str], rows: Sequence[Sequence[object]], sides: str) -> str:
    """`sides` has "l" or "r" for each column, and its last for all that follow."""
    ruler = ["---" if side == "l" else "---:" for side in sides.ljust(len(columns), sides[-1])]
    lines = [f"| {' | '.join(columns)} |", f"|{'|'.join(ruler)}|"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)
