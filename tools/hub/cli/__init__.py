"""The command line: `serve` runs a hub, every other command talks to a running one."""

import argparse
import sys
from collections.abc import Sequence

from tools.hub.cli import (
    devices,
    iotmq,
    log,
    login,
    messages,
    operations,
    ota,
    rules,
    serve,
    services,
)
from tools.hub.cli.client import CommandError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 when it failed, 2 when it was not understood."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "serve")
    options = _parser().parse_args(given)
    try:
        return int(options.run(options))
    except CommandError as error:
        print(f"hub: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tools.hub",
        description="The local hub: Tencent Cloud IoT Hub on your desk. Without a command: serve.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for area in (serve, login, devices, services, iotmq, messages, ota, rules, log, operations):
        area.add_commands(commands)
    return parser
