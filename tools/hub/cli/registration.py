"""Commands for dynamic registration."""

import argparse
from pathlib import Path
from typing import Any

from tools.hub.cli.client import CommandError, HubClient, add_hub_options
from tools.hub.cli.output import print_fields, print_json
from tools.hub.registry import REGISTRATIONS


def add_to(product: Any) -> None:
    """Adds them to the group `product`."""
    registration = product.add_parser(
        "registration",
        help="show or set who may register with the product's secret",
        description="Dynamic registration: a device that knows its product's secret only is given "
        "a secret or certificate of its own. Without an option: shows how it is set.",
    )
    registration.add_argument(
        "--mode",
        choices=REGISTRATIONS,
        help="off: nobody; preset: devices that were added before; auto: new names too",
    )
    registration.add_argument(
        "--limit", type=int, metavar="N", help="devices that `auto` creates at most"
    )
    registration.set_defaults(run=_registration)
    authority = product.add_parser(
        "authority",
        help="take certificates of an authority of the customer's own",
        description="Devices of the product then register with, and log in by, a certificate that "
        "this authority issued, with product id + device name as its common name.",
    )
    authority.set_defaults(run=_authority)
    for parser in (registration, authority):
        parser.add_argument("product", help="product id")
    authority.add_argument("file", type=Path, metavar="FILE", help="its certificate, PEM")
    for parser in (registration, authority):
        parser.add_argument("--json", action="store_true", help="print the API's answer as JSON")
        add_hub_options(parser)


def _registration(options: argparse.Namespace) -> int:
    path = ("products", options.product, "registration")
    given = {"registration": options.mode, "limit": options.limit}
    body = {name: value for name, value in given.items() if value is not None}
    client = HubClient(options)
    return _show(options, client.post(*path, **body) if body else client.get(*path))


def _authority(options: argparse.Namespace) -> int:
    try:
        pem = options.file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"reading {options.file}: {error}") from None
    path = ("products", options.product, "authority")
    return _show(options, HubClient(options).post(*path, certificate_pem=pem))


def _show(options: argparse.Namespace, answer: dict[str, Any]) -> int:
    if options.json:
        print_json(answer)
    else:
        print_fields(answer)
    return 0
