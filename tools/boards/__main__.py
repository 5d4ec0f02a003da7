"""`make boards`: the boards there are, and what each can do."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from tools.boards.capabilities import capabilities
from tools.boards.description import board_keys, read_board
from tools.boards.errors import BoardError

_PIPE_COLUMNS = 160


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, or 1 if a board's description is broken."""
    argparse.ArgumentParser(prog="make boards", description=__doc__).parse_args(arguments)
    table = Table(box=None, pad_edge=False)
    for heading in ("BOARD", "what", "", ""):
        table.add_column(heading, overflow="fold")
    try:
        for key in board_keys():
            board = read_board(key)
            image = board.image.version if board.image else "none: bring yours (IMAGE=)"
            table.add_row(key, board.name, "", "", style="bold")
            table.add_row("", "MicroPython", "", f"{board.minimum_micropython} or newer")
            table.add_row("", "image here", "", image)
            table.add_row("", "tested", "", board.tested)
            for each in capabilities(board):
                table.add_row("", each.name, "yes" if each.able else "no", each.why)
    except BoardError as error:
        print(f"boards: {error}", file=sys.stderr)
        return 1
    # A pipe has no width; rich would take 80 columns for one.
    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
