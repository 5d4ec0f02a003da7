"""Command line: `python -m tools.compact < console.log`."""

import argparse
import json
import sys
from pathlib import Path

from tools.bytecode import library
from tools.compact.traceback_names import read_back


def main(arguments: list[str] | None = None) -> int:
    """Copies standard input to standard output, with the names of the sources."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.compact",
        description="Shows tracebacks of a board with the names that the library's sources have.",
    )
    parser.add_argument(
        "--names", type=Path, metavar="FILE", help="the names of the library on that board"
    )
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="only write the names of this library there"
    )
    options = parser.parse_args(arguments)
    if options.write:
        text = json.dumps(library().names, indent=1, sort_keys=True)
        options.write.write_text(text + "\n", encoding="utf-8")
        return 0
    names = library().names
    if options.names:
        try:
            names = json.loads(options.names.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            print(f"compact: reading the names: {error}", file=sys.stderr)
            return 1
    for line in sys.stdin:
        sys.stdout.write(read_back(line, names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
