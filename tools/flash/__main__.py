"""Command line of `make flash` and `make erase`."""

import argparse
import sys
from pathlib import Path

from tools.boards.description import FILES, Board, board_keys, read_board
from tools.boards.errors import BoardError
from tools.boards.image import pinned_image
from tools.boards.ports import choose_port
from tools.fetch.errors import FetchError
from tools.flash import esp32, pico
from tools.flash.drive import find_drive


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 if it was done, else 1."""
    wanted = _parser().parse_args(arguments)
    try:
        board = read_board(wanted.board)
        (_erase if wanted.erase else _flash)(board, wanted)
    except (BoardError, FetchError) as error:
        print(f"{'erase' if wanted.erase else 'flash'}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make flash",
        description="Writes MicroPython onto a board, or with --erase removes all there is.",
        epilog="example: make flash BOARD=esp32_s3 PORT=/dev/ttyACM0",
    )
    parser.add_argument(
        "--board",
        default="",
        help=f"one of {', '.join(board_keys())}; an ESP32's may end in {FILES}",
    )
    parser.add_argument(
        "--port", help="serial port of an ESP32, drive of a Pico; default: the only one"
    )
    parser.add_argument("--image", type=Path, help="default: the one that boards/ pins")
    parser.add_argument("--erase", action="store_true", help="image (ESP32), files and secrets")
    return parser


def _flash(board: Board, wanted: argparse.Namespace) -> None:
    path = wanted.image or pinned_image(board)
    if not board.is_esp32:
        version, content = pico.checked_image(board, path)
        assert board.uf2_family is not None
        drive = find_drive(board.uf2_family, wanted.port)
        pico.copy(content, drive, path.name)
        print(f"MicroPython {version} is on {board.name}; its files stayed. {_NEXT}")
        return
    version, pieces = esp32.pieces(board, path)
    with esp32.connected(board, choose_port(wanted.port)) as esp:
        stayed = esp32.write(board, esp, pieces)
    files = "stayed" if stayed else "are gone, since the partition table is new"
    print(f"MicroPython {version} is on {board.name}, verified; its files {files}. {_NEXT}")


def _erase(board: Board, wanted: argparse.Namespace) -> None:
    if board.is_esp32:
        with esp32.connected(board, choose_port(wanted.port)) as esp:
            esp32.erase(esp)
        print(f"The flash of {board.name} is empty. Next: make flash BOARD={board.key}")
        return
    assert board.uf2_family is not None
    drive = find_drive(board.uf2_family, wanted.port)
    pico.copy(pico.eraser(board), drive, "erase.uf2")
    print(f"The files of {board.name} are gone; the image stayed. Next: make provision")


_NEXT = "Next: make provision, make deploy"


if __name__ == "__main__":
    sys.exit(main())
