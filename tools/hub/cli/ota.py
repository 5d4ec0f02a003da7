"""Commands for firmware: upload it, roll it out, watch it arrive."""

import argparse
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from tools.hub.cli.client import CommandError, HubClient
from tools.hub.cli.output import add_command, console, print_fields, print_json, print_table
from tools.hub.ota.updates import FAIL, FINAL

_EVERY_S = 0.5
_BAR_CHARS = 24


def add_commands(commands: Any) -> None:
    group = commands.add_parser("ota", help="update devices over the air")
    actions = group.add_subparsers(required=True, metavar="COMMAND")
    upload = _on_product(actions, "upload", "keep a file as a version of a product", _upload)
    upload.add_argument("version")
    upload.add_argument("file", type=Path)
    _on_product(actions, "list", "list the versions of a product", _list)
    remove = _on_product(actions, "remove", "forget a version and its file", _remove)
    remove.add_argument("version")
    roll_out = _on_product(actions, "roll-out", "have devices run a version", _roll_out)
    roll_out.add_argument("version")
    whom = roll_out.add_mutually_exclusive_group()
    whom.add_argument(
        "--device", action="append", metavar="NAME", help="this one, and others given so"
    )
    whom.add_argument(
        "--share-percent",
        type=float,
        default=100,
        metavar="N",
        help="of the product's devices, always the same ones (default: %(default)s)",
    )
    roll_out.add_argument(
        "--plain-http", action="store_true", help="for devices that cannot do https"
    )
    progress = _on_product(actions, "progress", "show how far every device is", _progress)
    progress.add_argument("--version", help="of this version only")
    progress.add_argument(
        "--follow", action="store_true", help="keep it up to date until all are done or failed"
    )
    withdraw = _on_product(actions, "withdraw", "want nothing of a device any more", _withdraw)
    withdraw.add_argument("name", help="device name")


def _on_product(group: Any, name: str, help_text: str, run: Any) -> argparse.ArgumentParser:
    parser = add_command(group, name, help_text, run)
    parser.add_argument("product", help="product id")
    return parser


def _upload(options: argparse.Namespace) -> int:
    path: Path = options.file
    if not path.is_file():
        raise CommandError(f"{path}: no such file; make ota-pack makes one")
    with Progress(
        TextColumn("uploading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        console=console, transient=True, disable=options.json,
    ) as bar:  # fmt: skip
        task = bar.add_task("upload", total=path.stat().st_size)
        answer = HubClient(options).put_file(
            "products", options.product, "firmware", options.version, file=path,
            told=lambda sent: bar.update(task, completed=sent),
        )  # fmt: skip
    return _show(options, answer)


def _list(options: argparse.Namespace) -> int:
    answer = HubClient(options).get("products", options.product, "firmware")
    if options.json:
        print_json(answer)
    else:
        print_table(("version", "size", "md5"), answer["firmware"])
    return 0


def _remove(options: argparse.Namespace) -> int:
    client = HubClient(options)
    return _show(options, client.delete("products", options.product, "firmware", options.version))


def _roll_out(options: argparse.Namespace) -> int:
    answer = HubClient(options).post(
        "products",
        options.product,
        "updates",
        version=options.version,
        devices=options.device,
        share_percent=options.share_percent,
        plain_http=options.plain_http,
    )
    if options.json:
        print_json(answer)
    else:
        console.print(_table(answer["updates"]))
    return 0


def _progress(options: argparse.Namespace) -> int:
    client = HubClient(options)

    def ask() -> list[dict[str, Any]]:
        answer = client.get("products", options.product, "updates", version=options.version)
        found: list[dict[str, Any]] = answer["updates"]
        return found

    updates = ask()
    if options.json:
        print_json({"updates": updates})
    elif not options.follow:
        console.print(_table(updates))
    else:
        with Live(_table(updates), console=console) as live, suppress(KeyboardInterrupt):
            while any(update["state"] not in FINAL for update in updates):
                time.sleep(_EVERY_S)
                updates = ask()
                live.update(_table(updates))
    return int(any(update["state"] == FAIL for update in updates))


def _withdraw(options: argparse.Namespace) -> int:
    return _show(
        options, HubClient(options).delete("products", options.product, "updates", options.name)
    )


def _show(options: argparse.Namespace, answer: dict[str, Any]) -> int:
    if options.json:
        print_json(answer)
    else:
        print_fields(answer)
    return 0


def _table(updates: list[dict[str, Any]]) -> Table:
    table = Table("device", "runs", "to run", "", "state", box=None, pad_edge=False)
    for update in updates:
        state = Text(update["state"])
        if update["state"] == FAIL:
            state.append(f" {update['result_code']}: {update['result_msg']}", "red")
        done = update["percent"] * _BAR_CHARS // 100
        bar = "━" * done + " " * (_BAR_CHARS - done) + f" {update['percent']:3} %"
        running = update["running"] or "?"
        table.add_row(update["device"], Text(running), Text(update["version"]), bar, state)
    return table
