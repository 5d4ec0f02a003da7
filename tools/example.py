"""`make example NAME=shadow`: one program of firmware/examples, run under the MicroPython
interpreter against the hub of `make hub`.

What it needs of the hub is made on its first run: a product, a device, what stands beside it. Its
device.json is kept, in the hub's data directory under examples/NAME.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console

from tools.demo.cloud import Cloud
from tools.demo.errors import ChapterFailed
from tools.demo.props import EXAMPLES, names, props_of
from tools.demo.slot_board import SlotBoard, workbench
from tools.hub.cli.client import DEFAULT_DATA, RUNNING_FILE
from tools.hub.files import PRIVATE, FileError, write_files

_LIBRARY = EXAMPLES.parent / "lib"
_MICROPYTHON = Path(sys.executable).with_name("micropython")
# Those that need a board that can be updated.
WITH_SLOTS = ("update",)
_TRIES_FILE = "tries.txt"
# Most run until they are stopped, which is no error of theirs.
_UNTIL_CTRL_C = """
import sys
try:
    execfile(sys.argv[1])
except KeyboardInterrupt:
    print()
"""
_START = "start a hub in another terminal: make hub"
# The fields of device.json that say where the hub is, as `make hub` writes them for its sample.
_WHERE = ("host", "port", "transport", "ca", "websocket_path", "http", "coap")


class NotPossible(Exception):
    """The text says what is missing and what to do."""


def _read(path: Path, otherwise: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise NotPossible(f"there is no {path}: {otherwise}") from None
    except (OSError, ValueError):
        raise NotPossible(f"{path} cannot be read: {otherwise}") from None
    return found


async def _made(name: str, api_port: int, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Who the device is, and what to try."""
    async with Cloud(api_port) as cloud:
        try:
            # A run that was stopped before device.json was written may have made one.
            product = f"example {name} {secrets.token_hex(2)}"
            props = await props_of(cloud, name, product, folder)
        except aiohttp.ClientError:
            raise NotPossible(f"no hub answers; {_START}") from None
        return props.fields, props.tries


def prepared(name: str, data: Path) -> tuple[Path, list[str]]:
    """(the folder to run in, commands to try). Raises NotPossible, ChapterFailed, FileError."""
    running = _read(data / RUNNING_FILE, _START)
    sample = _read(data / "device.json", "remove the hub's data directory, and start it again")
    folder = data / "examples" / name
    path = folder / "device.json"
    tries_path = folder / _TRIES_FILE
    if path.exists() and tries_path.exists():
        who = _read(path, f"remove {folder}, and run it again")
        tries = tries_path.read_text().splitlines()
    else:
        who, tries = asyncio.run(_made(name, running["api_port"], folder))
    settings = who | {field: sample[field] for field in _WHERE if field in sample}
    write_files(
        folder,
        {
            "device.json": ((json.dumps(settings, indent=2) + "\n").encode(), PRIVATE),
            _TRIES_FILE: ("\n".join(tries).encode(), PRIVATE),
        },
    )
    return folder, tries


async def _run_with_slots(program: Path, folder: Path) -> None:
    """On a board that can be reset, until Ctrl-C. Beside its flash lies a next version."""
    configuration = json.loads((folder / "device.json").read_text())
    anchor = Path(configuration.pop("ca")).read_bytes()  # not on the board's own flash
    bench = await workbench(folder / "ota_keys")
    flash, text = folder / "flash", program.read_text()
    if not flash.exists():
        bench.flash(flash, text, configuration, anchor)
        update = bench.pack(configuration["product_id"], "1.1", 1, text)
        (folder / "1.1.ota").write_bytes(update)
    write_files(flash, {"device.json": (json.dumps(configuration).encode(), PRIVATE)})
    board = SlotBoard(flash, lambda line: print(line, flush=True))
    try:
        await board.power_on()
        await board.is_off()
    finally:
        await board.power_off()


def main() -> None:
    parser = argparse.ArgumentParser(prog="make example", description=__doc__)
    parser.add_argument("name", choices=names(), metavar="NAME", help=", ".join(names()))
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, help="the hub's (default: %(default)s)"
    )
    arguments = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    try:
        folder, tries = prepared(arguments.name, arguments.data)
    except (NotPossible, ChapterFailed, FileError) as error:
        console.print(f"make example: {error}", style="red", markup=False)
        sys.exit(2)
    program = EXAMPLES / f"{arguments.name}.py"
    console.print(f"{program.relative_to(EXAMPLES.parents[1])}, in {folder}", style="bold")
    for text in tries:
        quoted = text.replace('"', '\\"')
        console.print(f'  in another terminal: make hub ARGS="{quoted}"', markup=False)
    sys.stdout.flush()
    if arguments.name in WITH_SLOTS:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_run_with_slots(program, folder))
        return
    os.chdir(folder)
    environment = {**os.environ, "MICROPYPATH": f".frozen:{_LIBRARY}"}
    os.execve(_MICROPYTHON, [str(_MICROPYTHON), "-c", _UNTIL_CTRL_C, str(program)], environment)


if __name__ == "__main__":
    main()
