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
INTRODUCTION_ZH = """\
由 `make size` 在仿真的 Pico W（RP2040，125 MHz）上用官方镜像测得：{image}。
堆是 `gc.collect()` 之后 `gc.mem_alloc()` 的差值，代码来自 .mpy 文件。
时间是模拟时间，20 次中最短的一次，每次都在 `gc.collect()` 之后；
“分配”是一次运行后留下的字节数。"""
MODULES = """\
Each file with what it adds to those above it. Files whose name is all they have, so that an import
of the sources finds what lies elsewhere, and the texts of errors, are not in it."""
MODULES_ZH = """\
每个文件在其上方各文件之外增加的开销。
不含只有名字的文件（按源码写的 import 由此找到别处的内容）和错误文本。"""
_CHINESE = {
    "What it costs on an RP2040": "RP2040 上的开销",
    "Heap": "堆",
    "Modules": "模块",
    "Operations": "操作",
    "Ratios": "比值",
    "Bytecode": "字节码",
    "modules": "模块",
    "heap after import": "导入后的堆",
    "limit": "上限",
    "heap of its objects": "其对象的堆",
    "module": "模块",
    "heap": "堆",
    "operation": "操作",
    "allocated": "分配",
    "operation / reference": "操作 / 参照",
    "times": "倍数",
    "files": "文件",
    "bytes": "字节",
}


def as_markdown(costs: Costs, chinese: bool = False) -> str:
    """Returns tables with one figure a cell, in bytes or microseconds."""

    def table(title: str, columns: list[str], rows: Sequence[Sequence[object]]) -> str:
        words = _CHINESE if chinese else {}
        return _table(words.get(title, title), [words.get(c, c) for c in columns], rows)

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
    modules = [[cost.name, cost.heap_bytes, cost.mpy_bytes] for cost in costs.modules]
    heap_columns = [
        "modules",
        "heap after import",
        "limit",
        "heap of its objects",
        ".mpy",
        "limit",
    ]
    title = "What it costs on an RP2040"
    introduction = INTRODUCTION_ZH if chinese else INTRODUCTION
    other = "[English](cost.md)" if chinese else "[中文](cost.zh-CN.md)"
    return "\n\n".join(
        [
            "# " + (_CHINESE[title] if chinese else title),
            other,
            introduction.format(image=costs.image),
            table("Heap", heap_columns, groups),
            table("Modules", ["module", "heap", ".mpy"], modules),
            MODULES_ZH if chinese else MODULES,
            table("Operations", ["operation", "µs", "allocated", "limit"], operations),
            table("Ratios", ["operation / reference", "times", "limit"], ratios),
            table("Bytecode", ["files", "bytes"], [["all", sum(costs.mpy_files.values())]]),
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
