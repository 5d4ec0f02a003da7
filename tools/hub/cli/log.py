"""Commands for what happened to devices, and what they are subscribed to."""

import argparse
import time
from datetime import datetime
from typing import Any

from tools.hub.cli.client import CommandError, HubClient
from tools.hub.cli.output import add_command, print_event, print_json, print_table


def add_commands(commands: Any) -> None:
    log = commands.add_parser("log", help="search what happened to devices")
    actions = log.add_subparsers(required=True, metavar="COMMAND")
    search = add_command(actions, "search", "show events, newest first", _search)
    add = search.add_argument
    add("keyword", nargs="?", default=None, help="a text within the details")
    whose = search.add_mutually_exclusive_group()
    whose.add_argument("--device", metavar="PID/DN")
    whose.add_argument("--product", metavar="PID")
    add("--kind", action="append", help="connect, drop, service, ...; may be given again")
    add("--since", metavar="TIME", help="2026-11-22T13:00, or so many seconds ago: 90s, 15m, 2h")
    add("--until", metavar="TIME", help="the same")
    add("--oldest-first", action="store_true")
    add("--limit", type=int, default=100, help="of one page (default: %(default)s)")
    add("--after", type=int, metavar="ID", help="the next page: after the last one's id")

    parser = add_command(
        commands, "subscriptions", "list what a device is subscribed to", _subscriptions
    )
    parser.add_argument("product", help="product id")
    parser.add_argument("name", help="device name")


def _search(options: argparse.Namespace) -> int:
    client = HubClient(options)
    # By the hub's clock, which may be shifted.
    now_ms = client.get("health")["now_ms"] if options.since or options.until else 0
    page = client.get(
        "events",
        keyword=options.keyword,
        device=options.device,
        product=options.product,
        kind=options.kind,
        from_ms=_time_ms(options.since, now_ms),
        until_ms=_time_ms(options.until, now_ms),
        newest_first=None if options.oldest_first else "",
        after=options.after,
        limit=options.limit,
    )
    if options.json:
        print_json(page)
        return 0
    for event in page["events"]:
        print_event(event)
    if not page["events"]:
        print("no event matches")
    if page["next_after"] is not None:
        print(f"there are more: --after {page['next_after']}")
    return 0


_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _time_ms(text: str | None, now_ms: int) -> int | None:
    if text is None:
        return None
    if text[:-1].isdigit() and text[-1] in _UNITS_S:
        return max(0, now_ms - int(text[:-1]) * _UNITS_S[text[-1]] * 1000)
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        today = time.strftime("%Y-%m-%dT%H:%M")
        raise CommandError(f"{text}: write a time as {today}, or as 90s, 15m, 2h, 1d") from None


def _subscriptions(options: argparse.Namespace) -> int:
    device = HubClient(options).get("products", options.product, "devices", options.name)
    if options.json:
        print_json(device["subscriptions"])
    else:
        print_table(("topic", "qos"), device["subscriptions"])
    return 0
