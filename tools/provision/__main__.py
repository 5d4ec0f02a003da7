"""Command line of `make provision`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tools.boards.description import board_keys, read_board
from tools.boards.errors import BoardError
from tools.fetch.install import CLONE
from tools.provision.closing import (
    DEVELOPMENT,
    MAX_PIN,
    PRODUCTION,
    Closing,
    check_deployed,
    close,
)
from tools.provision.configuration import Fields, read_configuration
from tools.provision.contents import files_for
from tools.provision.factory import Run, provision_all, read_devices
from tools.provision.secrets import read_secret
from tools.provision.write import check_identity, write
from tools.repl.board import RunningBoard

TRUST = CLONE / "build/trust"
_SECRET_WORDS = ("secret", "password", "private_key")


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 if the board, or each of the list, has its identity, else 1."""
    wanted = _parser().parse_args(arguments)
    try:
        if wanted.factory:
            return _factory(wanted)
        board = read_board(wanted.board) if wanted.board else None
        closing = _closing(wanted)
        if closing and not _names_a_device(wanted):
            with RunningBoard.opened(wanted.port, board) as running:
                close(running, closing, print)
            return 0
        fields = _fields(wanted)
        near = wanted.configuration.parent if wanted.configuration else Path()
        files = files_for(fields, near, _trust(wanted, fields))
        with RunningBoard.opened(wanted.port, board) as running:
            print(f"{running.identity.machine}, MicroPython {running.identity.version}")
            if closing:
                check_deployed(running)
            check_identity(running, files, wanted.replace)
            write(running, files, print)
            if closing:
                close(running, closing, print)
            else:
                running.restart()
        next_step = "" if closing else " Next: make deploy"
        print(f"It is {fields['product_id']}/{fields['device_name']}.{next_step}")
    except BoardError as error:
        print(f"provision: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make provision",
        description="Writes a device's identity onto a board: device.json, trust anchors,"
        " certificate and key. Secrets come from files, standard input or a prompt.",
        epilog='example: make provision ARGS="A1B2C3D4E5 thermostat-1 --ssid home"',
    )
    add = parser.add_argument
    add("product_id", nargs="?")
    add("device_name", nargs="?")
    add("--port", help="default: the only board there is")
    add("--board", help=f"refuse any other than: {', '.join(board_keys())}")
    add(
        "--from",
        dest="configuration",
        type=Path,
        metavar="FILE",
        help="a device.json, or the vendor's device_info.json; arguments override it",
    )
    add("--secret-file", metavar="FILE", help="the device secret; - is standard input")
    add("--product-secret-file", metavar="FILE", help="the device registers itself")
    add("--certificate", type=Path, metavar="FILE", help="PEM or DER; with --private-key")
    add("--private-key", type=Path, metavar="FILE")
    add("--ca", type=Path, metavar="FILE", help="whom to trust: a certificate, or a folder")
    add("--trust", type=Path, metavar="FOLDER", help="default: build/trust, by make trust")
    add("--ssid", help="Wi-Fi; its password comes from a prompt, or:")
    add("--wifi-password-file", metavar="FILE", help="- is standard input")
    add(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="any other field of device.json, e.g. region=europe",
    )
    add("--replace", action="store_true", help="also where another device's identity is")
    add(
        "--profile",
        choices=(DEVELOPMENT, PRODUCTION),
        default=DEVELOPMENT,
        help="production: the console is closed for good, docs/production.md",
    )
    add(
        "--reset-pin",
        type=int,
        metavar="PIN",
        help="in production: held to ground at the start for 5 s, it resets everything",
    )
    add("--factory", type=Path, metavar="CSV", help="many boards; columns: product_id, ...")
    add("--results", type=Path, metavar="CSV", help="default: the list's name with .results")
    return parser


def _closing(wanted: argparse.Namespace) -> Closing | None:
    pin = wanted.reset_pin
    if wanted.profile == PRODUCTION:
        if pin is not None and not 0 <= pin <= MAX_PIN:
            reason = f"--reset-pin is {pin}, not 0 to {MAX_PIN}"
            raise BoardError("reading the arguments", reason, "The number of a free GPIO.")
        return Closing(pin)
    if pin is not None:
        hint = "make provision PROFILE=production; an open console needs no pin."
        raise BoardError("reading the arguments", "--reset-pin without the profile", hint)
    return None


def _names_a_device(wanted: argparse.Namespace) -> bool:
    return bool(wanted.device_name or wanted.configuration or wanted.set)


def _fields(wanted: argparse.Namespace) -> Fields:
    """What the arguments make of a device. Raises BoardError."""
    if not _names_a_device(wanted):
        hint = 'Name them, ARGS="PRODUCT DEVICE", or a configuration: ARGS="--from FILE".'
        raise BoardError("reading the arguments", "no product id and device name", hint)
    fields = _common(wanted)
    for name in ("product_id", "device_name"):
        if getattr(wanted, name):
            fields[name] = getattr(wanted, name)
    if wanted.product_secret_file:
        fields["product_secret"] = read_secret(wanted.product_secret_file, "product secret")
    has_proof = fields.get("certificate") or fields.get("product_secret")
    if wanted.secret_file or not (has_proof or fields.get("device_secret")):
        fields["device_secret"] = read_secret(wanted.secret_file, "device secret")
    return fields


def _common(wanted: argparse.Namespace) -> Fields:
    fields = read_configuration(wanted.configuration) if wanted.configuration else {}
    for name in ("certificate", "private_key", "ca"):
        if path := getattr(wanted, name):
            fields[name] = str(path.resolve())
    for setting in wanted.set:
        name, equals, text = setting.partition("=")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if not equals or _has_secret(name, value):
            hint = "FIELD=VALUE; secrets come from files or a prompt."
            raise BoardError("reading the arguments", "--set takes no such field", hint)
        fields[name] = value
    if wanted.ssid:
        password = read_secret(wanted.wifi_password_file, "Wi-Fi password")
        fields["network"] = {"ssid": wanted.ssid, "password": password}
    return fields


def _has_secret(name: str, value: Any) -> bool:
    """Of a field, also of one inside of it. keep_product_secret is true or false, and none."""
    if isinstance(value, dict):
        return any(_has_secret(*field) for field in value.items())
    if isinstance(value, list):
        return any(_has_secret(name, each) for each in value)
    return not isinstance(value, bool) and any(word in name for word in _SECRET_WORDS)


def _trust(wanted: argparse.Namespace, fields: Fields) -> Path | None:
    """The folder of trust anchors, None where the configuration needs none of it."""
    if wanted.trust:
        return Path(wanted.trust)
    transport = fields.get("transport", "auto")
    if fields.get("ca") or transport in ("tcp", "psk", "ws"):
        return None
    if not list(TRUST.glob("*.der")):
        reason = "there are no trust anchors in build/trust"
        raise BoardError("reading the trust anchors", reason, "Run `make trust` first.")
    return TRUST


def _factory(wanted: argparse.Namespace) -> int:
    common = _common(wanted)
    run = Run(
        devices=read_devices(wanted.factory),
        results=wanted.results or wanted.factory.with_suffix(".results.csv"),
        common=common,
        near=wanted.factory.parent,
        trust=_trust(wanted, common),
        board=read_board(wanted.board) if wanted.board else None,
        port=wanted.port,
        closing=_closing(wanted),
    )
    left = provision_all(run, _next_board, print)
    print(f"{left} left to do." if left else "All are done.")
    return 1 if left else 0


def _next_board(label: str) -> bool:
    try:
        return input(f"Plug in the board for {label}, then Enter (q stops): ").strip() != "q"
    except (EOFError, KeyboardInterrupt):
        return False


if __name__ == "__main__":
    sys.exit(main())
