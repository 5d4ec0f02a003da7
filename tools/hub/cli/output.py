"""How commands print: tables for a person, JSON with --json."""

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tools.hub.cli.client import add_hub_options

console = Console(highlight=False)


def add_command(group: Any, name: str, help_text: str, run: Any) -> argparse.ArgumentParser:
    """A command that talks to a running hub, and prints JSON if asked to."""
    parser: argparse.ArgumentParser = group.add_parser(name, help=help_text)
    parser.add_argument("--json", action="store_true", help="print the API's answer as JSON")
    add_hub_options(parser)
    parser.set_defaults(run=run)
    return parser


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False), flush=True)


def print_table(columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*("" if row.get(name) is None else str(row.get(name)) for name in columns))
    console.print(table, markup=False)


def print_fields(value: dict[str, Any]) -> None:
    table = Table.grid(padding=(0, 2))
    for name, field in value.items():
        table.add_row(name, field if isinstance(field, str) else json.dumps(field))
    console.print(table, markup=False)


def print_event(event: dict[str, Any]) -> None:
    """One line: number, time, kind, device, and the rest."""
    rest = dict(event)
    number, at_ms, device, kind = (rest.pop(name) for name in ("id", "at_ms", "device", "kind"))
    detail = " ".join(f"{name}={value}" for name, value in rest.items())
    console.print(
        Text.assemble(
            (f"{number:>6} {clock(at_ms)} ", "dim"),
            (f"{kind:<12}", "bold"),
            f"{device or '-':<24} {detail}",
        ),
        soft_wrap=True,
    )


def clock(at_ms: int) -> str:
    """A time of day, to the millisecond; with its date, if that is not today's."""
    then, now = time.localtime(at_ms / 1000), time.localtime()
    date = "" if then[:3] == now[:3] else "%Y-%m-%d "
    return time.strftime(date + "%H:%M:%S", then) + f".{at_ms % 1000:03d}"
