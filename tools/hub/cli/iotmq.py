"""Commands for IoT MQ, the older service."""

import argparse
import sys
from typing import Any

from tools.hub.cli.client import HubClient
from tools.hub.cli.output import add_command, console, print_fields, print_json, print_table


def add_commands(commands: Any) -> None:
    parser = commands.add_parser("iotmq", help="add and list instances and topics of IoT MQ")
    actions = parser.add_subparsers(required=True, metavar="COMMAND")
    add = add_command(actions, "add", "create an instance; its SecretKey is shown once", _add)
    add.add_argument("--port", type=int, default=0, help="its own port (default: any free one)")
    for name in ("instance-id", "app-id", "secret-id"):
        add.add_argument(f"--{name}", default="", help="default: made up")
    add.add_argument("--secret-key-stdin", action="store_true", help="read SecretKey from there")
    add_command(actions, "list", "list instances", _list)
    topic = actions.add_parser("topic", help="add and list an instance's topics")
    actions = topic.add_subparsers(required=True, metavar="COMMAND")
    add = add_command(actions, "add", "create a topic; its name cannot be changed", _add_topic)
    add.add_argument("instance", help="instance id")
    add.add_argument("topic")
    add.add_argument("--life-time-s", type=int, default=86400, help="default: %(default)s")
    add.add_argument("--max-bytes", type=int, default=16384, help="default: %(default)s")
    listing = add_command(actions, "list", "list an instance's topics", _list_topics)
    listing.add_argument("instance", help="instance id")


def _add(options: argparse.Namespace) -> int:
    created = HubClient(options).post(
        "iotmq",
        port=options.port,
        instance_id=options.instance_id,
        app_id=options.app_id,
        secret_id=options.secret_id,
        secret_key=sys.stdin.readline().strip() if options.secret_key_stdin else "",
    )
    if options.json:
        print_json(created)
    else:
        print_fields(created)
        console.print("The SecretKey is shown this once; keep it.", style="bold yellow")
    return 0


def _list(options: argparse.Namespace) -> int:
    instances = HubClient(options).get("iotmq")["instances"]
    columns = ("instance_id", "app_id", "secret_id", "port", "topics")
    return _show(options, instances, *columns)


def _add_topic(options: argparse.Namespace) -> int:
    added = HubClient(options).post(
        "iotmq",
        options.instance,
        "topics",
        topic=options.topic,
        life_time_s=options.life_time_s,
        max_bytes=options.max_bytes,
    )
    return _show(options, [added], "topic", "life_time_s", "max_bytes")


def _list_topics(options: argparse.Namespace) -> int:
    topics = HubClient(options).get("iotmq", options.instance, "topics")["topics"]
    return _show(options, topics, "topic", "life_time_s", "max_bytes")


def _show(options: argparse.Namespace, rows: list[dict[str, Any]], *columns: str) -> int:
    if options.json:
        print_json(rows)
    else:
        print_table(columns, rows)
    return 0
