"""How commands print: tables for a person, JSON with --json."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(highlight=False)


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
