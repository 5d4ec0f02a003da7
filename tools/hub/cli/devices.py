"""Commands for products, devices and topics."""

import argparse
from typing import Any

from tools.hub.cli import registration
from tools.hub.cli.client import HubClient
from tools.hub.cli.output import add_command, console, print_fields, print_json, print_table
from tools.hub.topics import Permission


def add_commands(commands: Any) -> None:
    product = _group(commands, "product", "add, list and remove products")
    add = add_command(product, "add", "create a product; its secret is shown once", _add_product)
    add.add_argument("name")
    add.add_argument("--auth", choices=("key", "cert"), default="key")
    add.add_argument("--kind", choices=("normal", "gateway"), default="normal")
    add_command(product, "list", "list products", _list_products)
    remove = add_command(product, "remove", "remove a product without devices", _remove)
    remove.add_argument("product", help="product id")

    registration.add_to(product)

    device = _group(commands, "device", "add, list, show, enable, disable and remove devices")
    add = add_command(
        device, "add", "create a device; its secret or key is handed over once", _add_device
    )
    add.add_argument("product", help="product id")
    add.add_argument("name")
    add.add_argument(
        "--key", choices=("rsa", "ec"), default="rsa", help="of a certificate (default: rsa)"
    )
    listing = add_command(device, "list", "list the devices of a product", _list_devices)
    listing.add_argument("product", help="product id")
    for name, help_text in (
        ("show", "show a device, its session and its subscriptions"),
        ("enable", "let a disabled device log in again"),
        ("disable", "drop a device at once and refuse it; its data is kept"),
    ):
        parser = add_command(device, name, help_text, _work_device)
        parser.set_defaults(action=name)
        parser.add_argument("product", help="product id")
        parser.add_argument("name")

    remove = add_command(device, "remove", "drop a device and forget it with its data", _remove)
    remove.add_argument("product", help="product id")
    remove.add_argument("name")

    topic = _group(commands, "topic", "add, remove and list a product's topics")
    add = add_command(topic, "add", "add a custom topic PID/DN/NAME", _add_topic)
    add.add_argument("product", help="product id")
    add.add_argument("topic", metavar="NAME", help="what follows PID/DN/; may have levels")
    add.add_argument("permission", choices=[each.value for each in Permission])
    remove = add_command(topic, "remove", "remove a custom topic", _remove_topic)
    remove.add_argument("product", help="product id")
    remove.add_argument("topic", metavar="NAME")
    listing = add_command(topic, "list", "list a product's topics", _list_topics)
    listing.add_argument("product", help="product id")


def _group(commands: Any, name: str, help_text: str) -> Any:
    parser = commands.add_parser(name, help=help_text)
    return parser.add_subparsers(required=True, metavar="COMMAND")


def _show_created(options: argparse.Namespace, created: dict[str, Any]) -> int:
    if options.json:
        print_json(created)
    else:
        print_fields(created)
        console.print("A secret is shown this once; keep it.", style="bold yellow")
    return 0


def _show_list(options: argparse.Namespace, rows: list[dict[str, Any]], *columns: str) -> int:
    if options.json:
        print_json(rows)
    else:
        print_table(columns, rows)
    return 0


def _add_product(options: argparse.Namespace) -> int:
    client = HubClient(options)
    created = client.post("products", name=options.name, auth=options.auth, kind=options.kind)
    return _show_created(options, created)


def _list_products(options: argparse.Namespace) -> int:
    products = HubClient(options).get("products")["products"]
    return _show_list(options, products, "product_id", "name", "auth", "kind", "devices")


def _add_device(options: argparse.Namespace) -> int:
    path = ("products", options.product, "devices")
    created = HubClient(options).post(*path, name=options.name, key=options.key)
    folder = created.get("folder")
    if folder is None or options.json:
        return _show_created(options, created)
    # The files have them; a key is nothing to leave on a screen.
    shown = {name: created[name] for name in created if not name.endswith("_pem")}
    print_fields(shown)
    console.print(
        f"Certificate and private key are in {folder}; the hub keeps no copy of the key."
    )
    return 0


def _list_devices(options: argparse.Namespace) -> int:
    devices = HubClient(options).get("products", options.product, "devices")["devices"]
    columns = ("device_name", "enabled", "online", "stored", "unacknowledged", "last_login_ms")
    return _show_list(options, devices, *columns)


def _work_device(options: argparse.Namespace) -> int:
    path = ("products", options.product, "devices", options.name)
    client = HubClient(options)
    device = client.get(*path) if options.action == "show" else client.post(*path, options.action)
    if options.json:
        print_json(device)
    else:
        print_fields(device)
    return 0


def _remove(options: argparse.Namespace) -> int:
    device = getattr(options, "name", None)
    path = ("products", options.product, *(("devices", device) if device else ()))
    return _show_list(options, [HubClient(options).delete(*path)], "removed")


def _add_topic(options: argparse.Namespace) -> int:
    path = ("products", options.product, "topics")
    added = HubClient(options).post(*path, topic=options.topic, permission=options.permission)
    return _show_list(options, [added], "topic", "permission")


def _remove_topic(options: argparse.Namespace) -> int:
    removed = HubClient(options).delete("products", options.product, "topics", topic=options.topic)
    return _show_list(options, [removed], "removed")


def _list_topics(options: argparse.Namespace) -> int:
    topics = HubClient(options).get("products", options.product, "topics")["topics"]
    return _show_list(options, topics, "topic", "permission")
