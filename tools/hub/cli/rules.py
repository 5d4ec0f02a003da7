"""Commands for the rule engine."""

import argparse
from pathlib import Path
from typing import Any

from tools.hub.cli.client import CommandError, HubClient
from tools.hub.cli.output import add_command, print_fields, print_json, print_table

_SQL_HELP = "SELECT fields FROM 'topic filter' WHERE condition"


def add_commands(commands: Any) -> None:
    rule = commands.add_parser("rule", help="add, list, show, switch, remove and try rules")
    actions = rule.add_subparsers(required=True, metavar="COMMAND")

    add = add_command(actions, "add", "pass messages on to devices and HTTP servers", _add)
    add.add_argument("name")
    add.add_argument("sql", help=_SQL_HELP)
    add.add_argument(
        "--republish",
        action="append",
        default=[],
        metavar="TOPIC",
        help="to a device: PID/DN/name; ${field} stands for a selected field",
    )
    add.add_argument(
        "--forward", action="append", default=[], metavar="URL", help="to a server, by POST"
    )
    add.add_argument(
        "--token-file", type=Path, metavar="FILE", help="sign what is forwarded with its content"
    )
    add.add_argument("--description", default="")
    add.add_argument("--disabled", action="store_true", help="add it, but do not use it yet")
    add_command(actions, "list", "list rules and how often they acted", _list)
    for name, help_text, run in (
        ("show", "show a rule and its last error", _show),
        ("enable", "ask the servers it forwards to, and use it", _switch),
        ("disable", "keep it, but do not use it", _switch),
        ("remove", "forget it", _remove),
    ):
        parser = add_command(actions, name, help_text, run)
        parser.set_defaults(action=name)
        parser.add_argument("name")
    trial = add_command(
        actions, "test", "try a rule on a message, without sending anything", _test
    )
    what = trial.add_mutually_exclusive_group(required=True)
    what.add_argument("--name", help="a rule that is there")
    what.add_argument("--sql", help=_SQL_HELP)
    trial.add_argument("topic", help="what the message is published to, e.g. PID/DN/event")
    trial.add_argument("payload", help="usually a JSON object")


def _print(options: argparse.Namespace, answer: dict[str, Any]) -> int:
    if options.json:
        print_json(answer)
    else:
        print_fields(answer)
    return 0


def _add(options: argparse.Namespace) -> int:
    token = ""
    if options.token_file is not None:
        try:
            token = options.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"reading {options.token_file}: {error}") from None
    actions = [{"republish": {"topic": topic}} for topic in options.republish]
    actions += [{"forward": {"api": url, "token": token}} for url in options.forward]
    if not actions:
        raise CommandError("a rule needs --republish TOPIC or --forward URL")
    added = HubClient(options).post(
        "rules",
        name=options.name,
        sql=options.sql,
        actions=actions,
        description=options.description,
        enabled=not options.disabled,
    )
    return _print(options, added)


def _list(options: argparse.Namespace) -> int:
    rules = HubClient(options).get("rules")["rules"]
    if options.json:
        print_json(rules)
    else:
        print_table(("name", "enabled", "sql", "matched", "passed", "done", "failed"), rules)
    return 0


def _show(options: argparse.Namespace) -> int:
    return _print(options, HubClient(options).get("rules", options.name))


def _switch(options: argparse.Namespace) -> int:
    return _print(options, HubClient(options).post("rules", options.name, options.action))


def _remove(options: argparse.Namespace) -> int:
    return _print(options, HubClient(options).delete("rules", options.name))


def _test(options: argparse.Namespace) -> int:
    body = {"topic": options.topic, "payload": options.payload}
    chosen = {"name": options.name} if options.name else {"sql": options.sql}
    answer = HubClient(options).post("rule-trial", **body, **chosen)
    if options.json:
        print_json(answer)
    elif not answer["matches"]:
        print("The topic does not match: the rule does nothing.")
    elif not answer["passes"]:
        print("The condition does not hold: the rule does nothing.")
    else:
        print(answer.get("payload", answer["payload_base64"]))
        for destination in answer["destinations"]:
            print(f"-> {destination}")
    return 0
