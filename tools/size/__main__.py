"""Command line: `python -m tools.size`, what `make size` runs."""

import argparse
import sys
from pathlib import Path

from tools.bytecode import CompileError
from tools.fetch.errors import FetchError
from tools.ota.errors import OtaError
from tools.pico import BoardError, EmulatorError
from tools.size.at_once import NotUnderstood
from tools.size.comparison import differences
from tools.size.library_files import BytecodeVersionError, library_files, loading_order
from tools.size.measurement import measure, together
from tools.size.peaks import measure_peaks
from tools.size.plan import read_at_once, read_everything, read_groups, read_probes
from tools.size.report import as_json, as_markdown, over_limit

ERRORS = (
    BoardError,
    BytecodeVersionError,
    CompileError,
    EmulatorError,
    FetchError,
    NotUnderstood,
    OtaError,
)
# The cost table that tests compare with.
DOCS = Path(__file__).parents[2] / "docs" / "cost.md"


def main(arguments: list[str] | None = None) -> int:
    """Prints the report. Returns 1 if a figure is over its limit or grew, or there is none."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.size",
        description="Measures bytecode, heap and allocations on the emulated Pico W.",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.add_argument(
        "--docs", action="store_true", help="write the report into docs, in both languages"
    )
    parser.add_argument(
        "--check",
        type=Path,
        metavar="FILE",
        help="fail when a figure grew by more than 5 %% since that report, came or went",
    )
    options = parser.parse_args(arguments)
    committed = None
    if options.check:
        try:
            committed = options.check.read_text(encoding="utf-8")
        except OSError as error:
            print(f"size: reading the committed report: {error}", file=sys.stderr)
            return 1
    try:
        files = library_files()
        modules = loading_order()
        groups = [*read_groups(), read_at_once(modules)]
        costs = measure(files, groups, read_probes(), modules)
        costs.groups.append(together(read_everything(), costs.modules))
        costs.peaks.extend(measure_peaks(files))
    except ERRORS as error:
        print(f"size: {error}", file=sys.stderr)
        return 1
    markdown = as_markdown(costs) + "\n"
    print(markdown)
    if options.json:
        options.json.write_text(as_json(costs) + "\n", encoding="utf-8")
    if options.docs:
        DOCS.write_text(markdown, encoding="utf-8")
        chinese = as_markdown(costs, chinese=True) + "\n"
        DOCS.with_suffix(".zh-CN.md").write_text(chinese, encoding="utf-8")
    problems = over_limit(costs)
    if committed is not None:
        problems += differences(committed, markdown)
    for problem in problems:
        print(f"size: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
