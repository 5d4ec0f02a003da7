"""Commands for messages and events."""

import argparse
from typing import Any

from rich.text import Text

from tools.hub.cli.client import HubClient, add_hub_options
from tools.hub.cli.output import clock, console, print_event, print_json


def add_commands(commands: Any) -> None:
    publish = commands.add_parser("publish", help="send a device a message, as the application")
    publish.set_defaults(run=_publish)
    publish.add_argument("topic")
    publish.add_argument("payload")
    publish.add_argument("--qos", type=int, choices=(0, 1), default=0)

    watch = commands.add_parser("watch", help="show messages as they pass, until Ctrl-C")
    watch.set_defaults(run=_watch)
    watch.add_argument("filter", nargs="?", help="a topic or filter such as '+/+/event'")

    events = commands.add_parser("events", help="show what happened, newest last")
    events.set_defaults(run=_events)
    events.add_argument("--device", metavar="PID/DN")
    events.add_argument("--kind", help="connect, refused, disconnect, publish_in, drop, ...")
    events.add_argument("--after", type=int, default=0, metavar="ID", help="only newer ids")
    events.add_argument("--limit", type=int, default=1000)

    for parser in (publish, watch, events):
        parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
        add_hub_options(parser)


def _publish(options: argparse.Namespace) -> int:
    answer = HubClient(options).post(
        "publish", topic=options.topic, payload=options.payload, qos=options.qos
    )
    if options.json:
        print_json(answer)
    else:
        reason = f": {answer['reason']}" if answer["reason"] else ""
        console.print(f"{answer['outcome']}{reason}", markup=False)
    return 0 if answer["outcome"] != "dropped" else 1


def _watch(options: argparse.Namespace) -> int:
    for message in HubClient(options).lines("watch", filter=options.filter):
        if options.json:
            print_json(message)
            continue
        arrow = "->" if message["direction"] == "in" else "<-"
        payload = message.get("payload", message["payload_base64"])
        console.print(
            Text.assemble(
                (clock(message["at_ms"]), "dim"),
                f" {message['device']} ",
                (arrow, "bold"),
                f" {message['topic']} q{message['qos']} {payload}",
            ),
            soft_wrap=True,
        )
    return 0


def _events(options: argparse.Namespace) -> int:
    listed = HubClient(options).get(
        "events",
        device=options.device,
        kind=options.kind,
        after=options.after,
        limit=options.limit,
    )["events"]
    for event in listed:
        if options.json:
            print_json(event)
            continue
        print_event(event)
    return 0
