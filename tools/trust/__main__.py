"""Command line: `python -m tools.trust [--output FOLDER]`."""

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path

import certifi
from rich.console import Console
from rich.table import Table

from tools.fetch.errors import FetchError
from tools.fetch.install import CLONE
from tools.fetch.pins import read_pins
from tools.trust.anchors import read_anchors
from tools.trust.build import Checked, check, write
from tools.trust.errors import TrustError
from tools.trust.sources import certificates, fetched_files

OUTPUT = Path("build/trust")
PIN = "tencent-iot-root"
_PIPE_COLUMNS = 120


def main(arguments: list[str] | None = None) -> int:
    """Builds the anchors. Returns 0 if all are there and valid, else 1 and writes none."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.trust", description="Builds the device's trust anchors by digest."
    )
    parser.add_argument("--output", type=Path, default=CLONE / OUTPUT)
    folder = parser.parse_args(arguments).output
    today = datetime.now(timezone.utc).date()
    try:
        anchors = read_anchors()
        vendor_files = fetched_files(read_pins()[PIN], CLONE)
        found = certificates(*vendor_files, Path(certifi.where()))
    except (FetchError, TrustError) as error:
        print(f"trust: {error}", file=sys.stderr)
        return 1
    checked, errors = [], []
    for anchor in anchors:
        try:
            checked.append(check(anchor, found, today))
        except TrustError as error:
            errors.append(error)
    _show(checked)
    sys.stdout.flush()
    for missing in errors:
        print(f"trust: {missing}", file=sys.stderr)
    if errors:
        return 1
    try:
        gone = write(checked, folder)
    except TrustError as error:
        print(f"trust: {error}", file=sys.stderr)
        return 1
    for path in gone:
        print(f"removed {path}: anchors.toml does not name it")
    print(f"{len(checked)} anchors in {folder}")
    return 0


def _show(checked: list[Checked]) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("file", "name", "for", "expires", "days left"):
        table.add_column(heading, justify="right" if heading == "days left" else "left")
    for item in checked:
        anchor = item.anchor
        table.add_row(
            f"{anchor.key}.der",
            anchor.name,
            ", ".join(anchor.purposes),
            str(anchor.expires),
            f"{item.days_left}{' (expires soon)' if item.expires_soon else ''}",
            style="yellow" if item.expires_soon else None,
        )
    # A pipe has no width; rich would take 80 columns for one.
    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(table)


if __name__ == "__main__":
    sys.exit(main())
