"""Commands that work the hub itself: faults, the clock, its health."""

import argparse
import json
from typing import Any

from tools.hub.cli.client import CommandError, HubClient, add_hub_options
from tools.hub.cli.output import print_fields, print_json, print_table
from tools.hub.faults import KINDS


def add_commands(commands: Any) -> None:
    fault = commands.add_parser("fault", help="make the hub misbehave")
    actions = fault.add_subparsers(required=True, metavar="COMMAND")
    arm = actions.add_parser("arm", help="arm a fault")
    arm.set_defaults(run=_arm)
    arm.add_argument("kind", choices=list(KINDS), metavar="KIND", help="see: fault list")
    arm.add_argument("--device", metavar="PID/DN", help="strike this device only")
    count = arm.add_mutually_exclusive_group()
    count.add_argument("--count", type=int, default=1, help="how often (default: %(default)s)")
    count.add_argument("--always", action="store_true", help="until cleared")
    arm.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the fault"
    )
    listing = actions.add_parser("list", help="list what is armed, and what can be")
    listing.set_defaults(run=_list)
    clear = actions.add_parser("clear", help="disarm every fault")
    clear.set_defaults(run=_clear)

    clock = commands.add_parser("clock", help="shift the hub's clock")
    clock.set_defaults(run=_clock)
    clock.add_argument("offset_s", type=int, help="seconds ahead of this computer's clock")
    health = commands.add_parser("health", help="show ports, versions and the hub's time")
    health.set_defaults(run=_health)

    for parser in (arm, listing, clear, clock, health):
        parser.add_argument("--json", action="store_true", help="print the API's answer as JSON")
        add_hub_options(parser)


def _show(options: argparse.Namespace, answer: dict[str, Any]) -> int:
    if options.json:
        print_json(answer)
    else:
        print_fields(answer)
    return 0


def _arm(options: argparse.Namespace) -> int:
    parameters: dict[str, Any] = {}
    for setting in options.set:
        name, separator, value = setting.partition("=")
        if not separator:
            raise CommandError(f"--set {setting}: write NAME=VALUE")
        parameters[name] = int(value) if value.lstrip("-").isdigit() else value
    answer = HubClient(options).post(
        "faults",
        kind=options.kind,
        device=options.device,
        count=None if options.always else options.count,
        parameters=parameters,
    )
    return _show(options, answer)


def _list(options: argparse.Namespace) -> int:
    answer = HubClient(options).get("faults")
    if options.json:
        print_json(answer)
        return 0
    rows = [each | {"parameters": json.dumps(each["parameters"])} for each in answer["faults"]]
    print_table(("fault_id", "kind", "device", "count", "parameters"), rows)
    print_fields(answer["kinds"])
    return 0


def _clear(options: argparse.Namespace) -> int:
    HubClient(options).delete("faults")
    return 0


def _clock(options: argparse.Namespace) -> int:
    return _show(options, HubClient(options).post("clock", offset_s=options.offset_s))


def _health(options: argparse.Namespace) -> int:
    return _show(options, HubClient(options).get("health"))
