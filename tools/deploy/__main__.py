"""Command line of `make deploy`."""

import argparse
import sys

from tools.boards.description import board_keys, read_board
from tools.boards.errors import BoardError
from tools.bytecode import CompileError
from tools.deploy.starters import starters
from tools.deploy.transfer import check_room, deploy, different, write_starters
from tools.ota.__main__ import KEYS
from tools.ota.errors import OtaError
from tools.ota.keys import PUBLIC
from tools.ota.pack import application_files, base_files, compiled_firmware
from tools.ota.slot import slot_file
from tools.repl.board import RunningBoard

_MPY_VERSION = 6
_OURS = "slotboot.run()"  # what main.py has that this wrote
_BASE = "/slots/base"
_KEYS = "/slots/keys"


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 if the board has it, else 1."""
    wanted = _parser().parse_args(arguments)
    try:
        board = read_board(wanted.board) if wanted.board else None
        compiled = compiled_firmware(board or read_board("pico_w"))
        slot = slot_file(application_files(compiled, None))
        base = slot_file(base_files(compiled))
        with RunningBoard.opened(wanted.port, board) as running:
            _prepare(running, base, slot, wanted)
            _deploy(running, slot)
            if not wanted.keep_running:
                running.restart()
                print("Restarted; make logs shows what it says.")
    except (BoardError, CompileError, OtaError) as error:
        print(f"deploy: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make deploy",
        description="Compiles firmware/ and puts it onto a board: only what changed, verified,"
        " and started only when all of it is there.",
        epilog='example: make deploy PORT=/dev/ttyACM0 ARGS="--keep-running"',
    )
    parser.add_argument("--port", help="default: the only board there is")
    parser.add_argument("--board", help=f"refuse any other than: {', '.join(board_keys())}")
    parser.add_argument(
        "--replace", action="store_true", help="overwrite a main.py of another program"
    )
    parser.add_argument(
        "--base", action="store_true", help="write the safe mode anew; else only where none is"
    )
    parser.add_argument(
        "--keep-running", action="store_true", help="do not restart the board afterwards"
    )
    return parser


def _prepare(board: RunningBoard, base: bytes, slot: bytes, options: argparse.Namespace) -> None:
    """What starts slots, and what is there when none is good: the safe mode, and the keys that
    sign updates. Keys that the board has stay: an update may have brought newer ones."""
    phase = "looking at the board"
    if board.identity.mpy_version != _MPY_VERSION:
        reason = f"its bytecode is of version {board.identity.mpy_version}, not {_MPY_VERSION}"
        raise BoardError(phase, reason, "Flash an image this version supports: make boards")
    wanted = starters()
    there = board.call("read", "/main.py")
    if there is not None and _OURS not in there and not options.replace:
        hint = 'Save it, then: make deploy ARGS="--replace"'
        raise BoardError(phase, "it has a main.py of yours", hint)
    missing = different(board, wanted)
    has_base, has_keys = board.call("hashes", [_BASE, _KEYS])
    if options.base or has_base is None:
        missing[_BASE] = base
    if has_keys is None and (KEYS / PUBLIC).is_file():
        missing[_KEYS] = (KEYS / PUBLIC).read_bytes()
    check_room(board, missing, slot)
    write_starters(board, wanted)
    if _BASE in missing:
        board.write(_BASE, base)
        print(f"Safe mode: {len(base)} bytes.")
    if _KEYS in missing:
        board.write(_KEYS, missing[_KEYS])
        print(f"Keys of updates: {KEYS / PUBLIC}")


def _deploy(board: RunningBoard, slot: bytes) -> None:
    done = deploy(board, slot)
    if not done.slot:
        print(f"The board has it already: {len(slot)} bytes, nothing sent.")
        return
    print(
        f"Deployed to slot {done.slot}, verified: {done.sent_bytes} bytes sent, "
        f"{done.copied_bytes} were on the board."
    )


if __name__ == "__main__":
    sys.exit(main())
