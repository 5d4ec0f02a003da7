"""Command line: `python -m tools.fetch umqtt|pico-image|all`."""

import argparse
import sys

from tools.fetch.errors import FetchError
from tools.fetch.install import install, is_installed
from tools.fetch.pins import read_pins


def main(arguments: list[str] | None = None) -> int:
    """Fetches what was asked for. Returns 0 if all of it is in its place, else 1."""
    try:
        pins = read_pins()
        parser = argparse.ArgumentParser(
            prog="python -m tools.fetch",
            description="Brings pinned parts that pip cannot install.",
        )
        parser.add_argument("part", nargs="+", choices=[*pins, "all"])
        wanted = parser.parse_args(arguments).part
        for pin in pins.values():
            if pin.name not in wanted and "all" not in wanted:
                continue
            state = "already here"
            if not is_installed(pin):
                install(pin)
                state = f"fetched from {pin.package} {pin.version}"
            print(f"{pin.name}: {state}: {', '.join(str(m.destination) for m in pin.members)}")
    except FetchError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
