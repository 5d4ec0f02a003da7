"""The cost table of the papers is the code's: a figure that grew by more than 5 % is there, too,
or this fails. Bytecode is compared here, heap and times by `make sweep` (host_tests/target)."""

import re
from pathlib import Path

import pytest

from host_tests.unit.house.markdown import Paper
from tools.size.__main__ import DOCS
from tools.size.comparison import SLACK_BYTES, differences, read_figures
from tools.size.library_files import library_files, loading_order

ROOT = Path(__file__).resolve().parents[3]
HOW = "run `python -m tools.size --docs`, and commit docs/cost*.md and the READMEs' rows with it"


@pytest.fixture(scope="module")
def table() -> str:
    return DOCS.read_text("utf-8")


def of_modules(table: str) -> str:
    (rows,) = re.findall(r"^## Modules\n(.*?)\n\n#", table, re.M | re.S)
    return "## Modules\n" + re.sub(r"^\| (\S+) \| \d+ \|", r"| \1 |", rows, flags=re.M).replace(
        "| module | heap (bytes) |", "| module |"
    )


def measured() -> str:
    files = library_files()
    rows = ["## Modules", "", "| module | .mpy (bytes) |", "|---|---:|"]
    for name in loading_order():
        base = "/lib/" + name.replace(".", "/")
        content = files.get(base + ".mpy") or files[base + "/__init__.mpy"]
        rows.append(f"| {name} | {len(content)} |")
    return "\n".join(rows)


def test_no_module_grew_without_the_table(table):
    found = differences(of_modules(table), measured())
    assert not found, f"{HOW}: {found}"


def test_growth_is_seen(table):
    rows = of_modules(table)
    size = int(re.findall(r"\| iothub\.base \| (\d+) \|", rows)[0])
    larger = rows.replace(f"| iothub.base | {size} |", f"| iothub.base | {size * 106 // 100} |")
    assert size > 20 * SLACK_BYTES
    assert len(differences(rows, larger)) == 1
    assert len(differences(rows, rows.replace("| iothub.base |", "| iothub.other |"))) == 2


def test_both_languages_have_the_figures(table):
    chinese = DOCS.with_suffix(".zh-CN.md").read_text("utf-8")
    assert list(read_figures(table).values()) == list(read_figures(chinese).values())
    assert len(read_figures(table)) > 80


# What the rows of the READMEs stand for, in their order; the heap of several is added up.
SHOWN = (
    ("connected core: Device and all it needs, without asyncio",),
    ("while connecting: opening a stream", "while connecting: login"),
    ("blocking client, with umqtt.simple",),
    ("+ TLS with certificates or PSK",),
    ("+ offline queue on flash",),
    ("+ shadow",),
    ("+ gateway",),
    ("+ publishing over HTTP, connection closed",),
    ("+ all services, with HTTP, CoAP and WebSocket; of .mpy, also what is loaded for a moment",),
    ("everything a device can hold at once, without asyncio",),
)


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_has_the_figures(table, name):
    figures = read_figures(table)
    (rows,) = [
        rows for rows in Paper(ROOT / name).tables if len(rows[0]) == 5 and ".mpy" in rows[0]
    ]
    for shown, (_, heap, _, bytecode, _) in zip(SHOWN, rows[1:], strict=True):
        for column, cell in (("heap after import (bytes)", heap), (".mpy (bytes)", bytecode)):
            expected = sum(figures["Heap", row, column] for row in shown)
            assert cell == f"{expected:,.0f}", f"{name}: {shown[0]}, {column}"
