"""Command line: `make ota-keys` and `make ota-pack`."""

import argparse
import sys
import time
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tools.boards.description import FILES, Board, board_keys, read_board
from tools.boards.errors import BoardError
from tools.boards.partitions import HEADROOM_BYTES, headroom_bytes
from tools.fetch.install import CLONE
from tools.ota.errors import OtaError
from tools.ota.keys import KEY_BITS, PUBLIC, KeyPair, make_keys, read_keys, rotate
from tools.ota.pack import (
    Packed,
    board_field,
    compiled_firmware,
    pack_application,
    pack_bundle,
)
from tools.ota.trailer import KINDS, TRAILER_BYTES, Release, read_release

KEYS = CLONE / "ota_keys"
OUTPUT = CLONE / "build/ota"
_PIPE_COLUMNS = 120


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, or 1 with the reason on stderr."""
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:  # told with the usage of the one command that was typed
        options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        options.run(options)
    except (OtaError, BoardError) as error:
        print(f"ota: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.ota", description=__doc__)
    commands = parser.add_subparsers(required=True)
    keys = commands.add_parser(
        "keys",
        prog="make ota-keys",
        help="make the keys that sign updates, or change them",
        epilog="example: make ota-keys ARGS=--rotate",
    )
    keys.add_argument("--bits", type=int, choices=KEY_BITS, default=KEY_BITS[0])
    keys.add_argument("--rotate", action="store_true", help="the next key becomes the one in use")
    keys.set_defaults(run=_keys, parser=keys)
    pack = commands.add_parser(
        "pack",
        prog="make ota-pack",
        help="make the file of an update, signed",
        epilog='example: make ota-pack BOARD=pico_w ARGS="--product A1B2C3D4E5 --version 1.1"',
    )
    pack.add_argument(
        "--board",
        required=True,
        metavar="|".join(board_keys()),
        help=f"an ESP32 with {FILES} behind it: laid out for files",
    )
    pack.add_argument("--product", required=True, help="product id of the devices")
    pack.add_argument("--version", required=True, help="as the device will report it")
    pack.add_argument("--sequence", type=int, help="grows with each release; default: Unix time")
    pack.add_argument("--image", type=Path, help="ESP32: a .bin of MicroPython, as published")
    pack.add_argument(
        "--without",
        nargs="+",
        default=[],
        metavar="PATH",
        help="leave away: umqtt, iothub/net/coap",
    )
    pack.add_argument("--unsigned", action="store_true", help="for devices that accept it only")
    pack.add_argument("--output", type=Path, help="default: build/ota/BOARD-VERSION.ota")
    pack.set_defaults(run=_pack, parser=pack)
    show = commands.add_parser("show", help="tell what a packed file is")
    show.add_argument("file", type=Path)
    show.set_defaults(run=_show, parser=show)
    for command in (keys, pack):
        command.add_argument("--keys", type=Path, default=KEYS, help="folder of the keys")
    return parser


def _keys(options: argparse.Namespace) -> None:
    make: Callable[[Path, int], KeyPair] = rotate if options.rotate else make_keys
    keys = make(options.keys, options.bits)
    rows = [
        ("in use", f"{keys.current.key_id.hex()}  RSA-{keys.current.private.key_size}"),
        ("next", f"{keys.following.key_id.hex()}  RSA-{keys.following.private.key_size}"),
        ("for devices", str(options.keys / PUBLIC)),
    ]
    _table(rows)
    print(f"Keep a copy of {options.keys}: without it no device can be updated over the air.")


def _pack(options: argparse.Namespace) -> None:
    board = read_board(options.board)
    keys = None if options.unsigned else read_keys(options.keys)
    sequence = int(time.time()) if options.sequence is None else options.sequence
    release = Release(0, options.product, board_field(board), options.version, sequence)
    rows: list[tuple[str, str]] = []
    with _progress() as progress:
        task = progress.add_task("compiling", total=4)
        if options.image is None:
            compiled = compiled_firmware(board)
            progress.update(task, advance=1, description="packing")
            packed = pack_bundle(board, compiled, release, keys, tuple(options.without))
        else:
            progress.update(task, advance=1, description="taking the application out")
            micropython, packed = pack_application(board, options.image, release, keys)
            rows += [("MicroPython", micropython), ("to spare", _to_spare(board, packed))]
        progress.update(task, advance=1, description="writing")
        name = f"{board.key}-{options.version}.ota".replace("/", "_")
        path = options.output or OUTPUT / name
        _write(path, packed.content)
        progress.update(task, advance=1, description="reading back")
        if read_release(path.read_bytes())[0] != packed.release:
            raise OtaError(f"{path} is not what was written", "The disk fails.")
        progress.update(task, advance=1, description="done")
    _table([*_rows(board, packed, keys), *rows, ("file", str(path))])


def _show(options: argparse.Namespace) -> None:
    try:
        content = options.file.read_bytes()
    except OSError as error:
        raise OtaError(f"{options.file}: {error.strerror}", "Name a packed file.") from error
    release, image = read_release(content)
    _table(_release_rows(release, image, content))


def _rows(board: Board, packed: Packed, keys: KeyPair | None) -> list[tuple[str, str]]:
    release = packed.release
    image = packed.content[:-TRAILER_BYTES]
    rows = _release_rows(release, image, packed.content)
    if packed.files:
        rows.append(("files", str(len(packed.files))))
    signed = f"key {keys.current.key_id.hex()}" if keys else "NOT SIGNED: few devices take it"
    return [*rows, ("signed", signed)]


def _to_spare(board: Board, packed: Packed) -> str:
    rest_bytes = headroom_bytes(board, packed.content[:-TRAILER_BYTES])
    told = f"{rest_bytes} bytes of the partition"
    return told if rest_bytes >= HEADROOM_BYTES else told + "; a later MicroPython may not fit"


def _release_rows(release: Release, image: bytes, content: bytes) -> list[tuple[str, str]]:
    rows = [
        ("kind", KINDS.get(release.kind, f"unknown: {release.kind}")),
        ("product", release.product),
        ("board", release.board),
        ("version", f"{release.version}, sequence {release.sequence}"),
        ("bytes", f"{len(content)}"),
    ]
    if release.unpacked:
        share = len(image) / release.unpacked
        rows.append(("unpacked", f"{release.unpacked} ({share:.0%} of it is downloaded)"))
    if release.bytecode:
        rows.append((".mpy version", str(release.bytecode)))
    return [*rows, ("MD5", md5(content, usedforsecurity=False).hexdigest())]


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise OtaError(f"{path}: {error.strerror}", "Name another file: --output.") from error


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def _table(rows: list[tuple[str, str]]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(*row)
    # A pipe has no width; rich would take 80 columns for one.
    Console(width=None if sys.stdout.isatty() else _PIPE_COLUMNS).print(table)


if __name__ == "__main__":
    sys.exit(main())
