"""Commands for what the application does with devices by the `$...` services."""

import argparse
import json
from typing import Any

from tools.hub.cli.client import CommandError, HubClient
from tools.hub.cli.output import add_command, console, print_fields, print_json, print_table
from tools.hub.services.log_level import LEVELS


def add_commands(commands: Any) -> None:
    shadow = _group(commands, "shadow", "show, change and delete a device's shadow")
    _on_device(shadow, "show", "show the document", _show_shadow)
    update = _on_device(shadow, "update", "change what is desired of a device", _update_shadow)
    update.add_argument("desired", metavar="JSON", help="an object, merged; null empties it")
    update.add_argument("--version", type=int, default=0, help="refuse another one's (default: 0)")
    _on_device(shadow, "delete", "empty it; the device has none until the next update", _delete)

    call = _on_device(commands, "rrpc", "call a device and print its answer", _call)
    call.add_argument("payload")

    gateway = _group(commands, "gateway", "bind and unbind a gateway's sub-devices")
    _on_device(gateway, "list", "list what is bound to a gateway", _list_sub_devices)
    for name, help_text in (("bind", "bind sub-devices"), ("unbind", "unbind sub-devices")):
        parser = _on_device(gateway, name, help_text + "; the gateway hears of it", _bind)
        parser.set_defaults(action=name)
        parser.add_argument("devices", nargs="+", metavar="PID/DN")
    _on_device(gateway, "unbind-all", "unbind every sub-device", _unbind_all)
    search = _on_device(gateway, "search", "tell a gateway to search for devices", _search)
    search.add_argument("--end", action="store_true", help="tell it to end the search")

    broadcast = add_command(
        commands, "broadcast", "send all devices of a product that are online a message", _cast
    )
    broadcast.add_argument("product", help="product id")
    broadcast.add_argument("payload")

    config = _group(commands, "config", "keep a product's remote configuration")
    for name, help_text, run in (
        ("show", "show it", _show_config),
        ("set", "replace and enable it", _set_config),
        ("enable", "let devices have it", _enable_config),
        ("disable", "refuse it to devices", _enable_config),
        ("push", "send it to every device that is online", _push_config),
    ):
        parser = add_command(config, name, help_text, run)
        parser.set_defaults(action=name)
        parser.add_argument("product", help="product id")
        if name == "set":
            parser.add_argument("content", metavar="JSON", help="an object")

    level = _on_device(commands, "log-level", "show or set what a device uploads", _log_level)
    level.add_argument("level", nargs="?", choices=LEVELS)


def _group(commands: Any, name: str, help_text: str) -> Any:
    parser = commands.add_parser(name, help=help_text)
    return parser.add_subparsers(required=True, metavar="COMMAND")


def _on_device(group: Any, name: str, help_text: str, run: Any) -> argparse.ArgumentParser:
    parser = add_command(group, name, help_text, run)
    parser.add_argument("product", help="product id")
    parser.add_argument("name", help="device name")
    return parser


def _path(options: argparse.Namespace) -> tuple[str, ...]:
    return "products", options.product, "devices", options.name


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"{what}: not JSON: {error}") from None


def _show(options: argparse.Namespace, answer: dict[str, Any]) -> int:
    if options.json:
        print_json(answer)
    else:
        print_fields(answer)
    return 0


def _show_shadow(options: argparse.Namespace) -> int:
    return _show(options, HubClient(options).get(*_path(options), "shadow"))


def _update_shadow(options: argparse.Namespace) -> int:
    desired = _json(options.desired, "what is desired")
    path = (*_path(options), "shadow")
    answer = HubClient(options).post(*path, desired=desired, version=options.version)
    return _show(options, answer)


def _delete(options: argparse.Namespace) -> int:
    return _show(options, HubClient(options).delete(*_path(options), "shadow"))


def _call(options: argparse.Namespace) -> int:
    answer = HubClient(options).post(*_path(options), "call", payload=options.payload)
    if options.json:
        print_json(answer)
    else:
        console.print(answer.get("payload", answer["payload_base64"]), markup=False)
    return 0


def _list_sub_devices(options: argparse.Namespace) -> int:
    return _show_sub_devices(options, HubClient(options).get(*_path(options), "sub_devices"))


def _bind(options: argparse.Namespace) -> int:
    path = (*_path(options), "sub_devices", options.action)
    return _show_sub_devices(options, HubClient(options).post(*path, devices=options.devices))


def _unbind_all(options: argparse.Namespace) -> int:
    path = (*_path(options), "sub_devices", "unbind_all")
    return _show_sub_devices(options, HubClient(options).post(*path))


def _show_sub_devices(options: argparse.Namespace, answer: dict[str, Any]) -> int:
    if options.json:
        print_json(answer)
    else:
        print_table(("device", "online"), answer["sub_devices"])
    return 0


def _search(options: argparse.Namespace) -> int:
    path = (*_path(options), "sub_devices", "search")
    return _show(options, HubClient(options).post(*path, begin=not options.end))


def _cast(options: argparse.Namespace) -> int:
    path = ("products", options.product, "broadcast")
    return _show(options, HubClient(options).post(*path, payload=options.payload))


def _show_config(options: argparse.Namespace) -> int:
    return _show(options, HubClient(options).get("products", options.product, "config"))


def _set_config(options: argparse.Namespace) -> int:
    content = _json(options.content, "the configuration")
    path = ("products", options.product, "config")
    return _show(options, HubClient(options).post(*path, content=content))


def _enable_config(options: argparse.Namespace) -> int:
    path = ("products", options.product, "config")
    return _show(options, HubClient(options).post(*path, enabled=options.action == "enable"))


def _push_config(options: argparse.Namespace) -> int:
    return _show(options, HubClient(options).post("products", options.product, "config", "push"))


def _log_level(options: argparse.Namespace) -> int:
    path, client = (*_path(options), "log_level"), HubClient(options)
    if options.level is None:
        return _show(options, client.get(*path))
    return _show(options, client.post(*path, level=LEVELS.index(options.level)))
