"""`serve`: a hub in the foreground, until SIGINT or SIGTERM."""

import argparse
import asyncio
import fcntl
import json
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from tools.hub.address import TRANSPORT_LISTENERS
from tools.hub.app import Hub
from tools.hub.cli.client import DEFAULT_DATA, RUNNING_FILE, CommandError
from tools.hub.cli.first_start import print_welcome, write_sample
from tools.hub.config import LOOPBACK, HubConfig
from tools.hub.files import FileError
from tools.hub.log import start_log
from tools.hub.provisioning import authority_file
from tools.hub.store import StoreError
from tools.hub.transport.listener import ListenError

DATABASE_FILE = "hub.db"
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
# Beside connections: the listeners, the database, the API's clients.
_SPARE_FILES = 256
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
    console = None if options.quiet else Console(highlight=False)
    data: Path = options.data
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        start_log(options.log_level, options.log_file, console)
        with _only_hub_on(data):
            asyncio.run(_serve(options, console))
    except (StoreError, FileError, ListenError) as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"starting the hub on {data}: {error}") from None
    return 0


async def _serve(options: argparse.Namespace, console: Console | None) -> None:
    data: Path = options.data
    config = HubConfig(
        host=options.host,
        mqtt_port=options.mqtt_port,
        tls_port=_port_of(options, "tls"),
        ws_port=_port_of(options, "ws"),
        wss_port=_port_of(options, "wss"),
        cloud_port=_port_of(options, "cloud"),
        http_port=_port_of(options, "http"),
        https_port=_port_of(options, "https"),
        coap_port=_port_of(options, "coap"),
        coap_udp_port=options.coap_udp_port,
        api_port=options.api_port,
        database=str(data / DATABASE_FILE),
        data=data,
        clock_offset_s=options.clock_offset_s,
        max_http_skew_s=options.max_http_skew_s,
    )
    _allow_open_files(config.max_connections + _SPARE_FILES)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Hub(config) as hub:
        device_file = None
        if not options.no_sample:
            device_file = write_sample(hub, data, options.device_transport)
        ready = {
            **hub.address.named_ports(),
            "api_port": hub.api_port,
            "host": config.host,
            "pid": os.getpid(),
            "data": str(data),
            "ca": str(authority_file(data)),
            "device_file": str(device_file) if device_file else None,
        }
        note = data / RUNNING_FILE
        note.write_text(json.dumps(ready) + "\n")
        try:
            _announce(ready, options)
            if console is not None:
                print_welcome(console, hub, data, device_file)
            await stop.wait()
        finally:
            note.unlink(missing_ok=True)


def _announce(ready: dict[str, Any], options: argparse.Namespace) -> None:
    line = json.dumps(ready) + "\n"
    if options.ready_file is not None:
        # Whole or not at all, for whoever polls for it.
        temporary = options.ready_file.with_name(options.ready_file.name + ".part")
        temporary.write_text(line)
        temporary.replace(options.ready_file)
    if options.ready_fd is not None:
        with suppress(BrokenPipeError), os.fdopen(options.ready_fd, "w") as stream:
            stream.write(line)


def _port_of(options: argparse.Namespace, name: str) -> int:
    given: int | None = getattr(options, f"{name}_port")
    if given is not None:
        return given
    return _PORTS[name][0] if options.mqtt_port else 0


def _allow_open_files(count: int) -> None:
    """Raise this process's limit of open files towards what the connections need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _only_hub_on:
    """Holds a data directory's lock: two hubs on one database would undo each other."""

    def __init__(self, data: Path) -> None:
        self._path = data / "lock"
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        self._file = self._path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise CommandError(
                f"another hub runs on {self._path.parent}; stop it, or give --data DIR"
            ) from None

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return port
