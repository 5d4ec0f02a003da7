"""`serve`: a hub in the foreground, until SIGINT or SIGTERM."""

import argparse
from pathlib import Path
from typing import Any

from tools.hub.address import TRANSPORT_LISTENERS
from tools.hub.cli.client import DEFAULT_DATA
from tools.hub.config import LOOPBACK

# Where only root may listen, as on the cloud's 80 and 443, the usual substitutes.
_PORTS = {
    "tls": (8883, "port for TLS and TLS-PSK"),
    "ws": (8080, "port for WebSocket"),
    "wss": (8443, "port for secure WebSocket"),
    "cloud": (8543, "port for the cloud API"),
    "http": (8081, "port of the HTTP gateway"),
    "https": (8444, "port of the HTTPS gateway"),
    "coap": (5684, "UDP port for CoAP over DTLS"),
}
_Commands = Any  # argparse keeps the type of its sub-parsers to itself


def add_commands(commands: _Commands) -> None:
    parser = commands.add_parser("serve", help="run a hub in the foreground (the default)")
    parser.set_defaults(run=serve)
    add = parser.add_argument
    add("--host", default=LOOPBACK, help="address MQTT listens on (default: %(default)s)")
    add("--mqtt-port", type=_port, default=1883, help="0 for any free one (default: %(default)s)")
    for name, (port, what) in _PORTS.items():
        text = f"{what} (default: {port}, or any free one with --mqtt-port 0)"
        add(f"--{name}-port", type=_port, metavar="PORT", help=text)
    add("--api-port", type=_port, default=8180, help="0 for any free one (default: %(default)s)")
    add(
        "--data",
        type=Path,
        default=DEFAULT_DATA,
        metavar="DIR",
        help="where the database, the authority and the devices' files live "
        "(default: %(default)s)",
    )
    add(
        "--device-transport",
        choices=tuple(TRANSPORT_LISTENERS),
        help="what the sample device.json connects by (default: what it says, first tcp)",
    )
    add("--clock-offset-s", type=int, default=0, metavar="S", help="shift the hub's clock")
    add(
        "--coap-udp-port",
        type=_port,
        metavar="PORT",
        help="UDP port for CoAP without DTLS, where nothing proves who sends (default: none)",
    )
    add(
        "--max-http-skew-s",
        type=int,
        metavar="S",
        help="refuse HTTP requests whose timestamp is further off, or that come again "
        "(default: take any, as the documents set no limit)",
    )
    add("--no-sample", action="store_true", help="create no sample product on a first start")
    add("--log-file", type=Path, metavar="FILE", help="write the log as JSON lines to FILE")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    add("--quiet", action="store_true", help="no text on the terminal; the log goes to stderr")
    add("--ready-file", type=Path, metavar="FILE", help="write one JSON line here when listening")
    add("--ready-fd", type=int, metavar="N", help="write one JSON line to this descriptor")


def serve(options: argparse.Namespace) -> int:
    """Run a hub until it is told to stop. Raises CommandError when it cannot start."""
    # The hub is imported when it is to run: other commands need none of it, and are there at once.
    from tools.hub.cli import serving

    for name in _PORTS:
        setattr(options, f"{name}_port", _port_of(options, name))
    return serving.serve(options)


def _port_of(options: argparse.Namespace, name: str) -> int:
    given: int | None = getattr(options, f"{name}_port")
    if given is not None:
        return given
    return _PORTS[name][0] if options.mqtt_port else 0


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return port
