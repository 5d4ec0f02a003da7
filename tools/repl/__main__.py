"""Command line of `make repl` and `make logs`."""

import argparse
import os
import sys
from datetime import datetime

from tools.boards.errors import BoardError
from tools.boards.ports import choose_port
from tools.bytecode import library
from tools.repl.board import check_port
from tools.repl.logs import follow
from tools.repl.names import may_have_names, readable


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, or 1 when there is no board to talk to. `repl` does not return."""
    wanted = _parser().parse_args(arguments)
    try:
        port = choose_port(wanted.port)
        if wanted.command == "repl":
            check_port(port)
            print(f"MicroPython at {port}. Ctrl-C stops the program there, Ctrl-] leaves.")
            sys.stdout.flush()
            os.execv(
                sys.executable,
                [sys.executable, "-m", "mpremote", "connect", port, "resume", "repl"],
            )
        print(f"What {port} prints. Ctrl-C leaves.", file=sys.stderr)
        follow(port, _show, wanted.seconds)
    except BoardError as error:
        print(f"{wanted.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # as in: make logs | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.repl", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    repl = commands.add_parser("repl", help="talk to the interpreter on the board")
    logs = commands.add_parser("logs", help="see what the board prints, without disturbing it")
    for each in (repl, logs):
        each.add_argument("--port", help="default: the only board there is")
    logs.add_argument("--seconds", type=float, help="end after so long; default: Ctrl-C")
    return parser


def _show(line: str) -> None:
    stamp = datetime.now().strftime("%H:%M:%S.%f")[:-3]
    if may_have_names(line):
        line = readable(line, library().names)  # which takes seconds, the first time
    print(f"{stamp} {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
