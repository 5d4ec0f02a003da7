"""How device programs talk to the test that runs them: a JSON object a line."""

import json
import sys

from iothub.errors import IoTHubError


def say(event, **fields):
    fields["event"] = event
    print(json.dumps(fields))


def error_fields(error):
    """What a test wants to know of an error; `typed` is whether it is one of the library's."""
    return {
        "error": type(error).__name__,
        "typed": isinstance(error, IoTHubError),
        "code": error.errno if isinstance(error, OSError) else None,
        "phase": getattr(error, "phase", None),
        "reason": getattr(error, "reason", str(error)),
    }


def wait_for_test():
    """Blocks until the test tells us to go on; what it said."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit(0)
    return line.strip()
