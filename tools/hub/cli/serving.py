"""Runs a hub in the foreground, until it is told to stop."""

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

from tools.hub.app import Hub
from tools.hub.cli.client import RUNNING_FILE, CommandError
from tools.hub.cli.first_start import print_welcome, write_sample
from tools.hub.config import HubConfig
from tools.hub.files import FileError
from tools.hub.log import start_log
from tools.hub.provisioning import authority_file
from tools.hub.store import StoreError
from tools.hub.transport.listener import ListenError

DATABASE_FILE = "hub.db"
# Beside connections: the listeners, the database, the API's clients.
_SPARE_FILES = 256


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
        tls_port=options.tls_port,
        ws_port=options.ws_port,
        wss_port=options.wss_port,
        cloud_port=options.cloud_port,
        http_port=options.http_port,
        https_port=options.https_port,
        coap_port=options.coap_port,
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
