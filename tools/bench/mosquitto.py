"""A mosquitto process of one's own: the independent broker for measurements and tests."""

import re
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tools import prerequisites

_START_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 10.0
_ATTEMPTS = 5
_RUNNING = re.compile(r"mosquitto version \S+ running")


class MosquittoError(Exception):
    """It is not installed, or does not start."""


class Mosquitto:
    """`with Mosquitto(directory) as broker:` listens on `broker.host`, `broker.port`, keeps
    nothing on disk but its configuration and log, and queues 100,000 messages a client.
    `settings` are further lines of its configuration."""

    def __init__(
        self,
        directory: Path,
        settings: tuple[str, ...] = ("allow_anonymous true",),
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.host = host
        self.port = port
        self.log = directory / "mosquitto.log"
        self._directory = directory
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Also again after stop(), on the same port and without its memory. Raises
        MosquittoError."""
        command = prerequisites.find("mosquitto")
        if command is None:
            raise MosquittoError(prerequisites.install_command(["mosquitto"]))
        # Another program may take a port between finding it free and listening on it.
        for _ in range(_ATTEMPTS):
            port = self.port or _free_port(self.host)
            if self._listens(command, port):
                self.port = port
                return
        raise MosquittoError("mosquitto does not start: " + self.log.read_text()[-2000:])

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _listens(self, command: str, port: int) -> bool:
        configuration = self._directory / "mosquitto.conf"
        configuration.write_text(
            "\n".join(
                (
                    # As root it would become another user, who may not enter the directory.
                    "user root",
                    f"listener {port} {self.host}",
                    "persistence false",
                    "max_queued_messages 100000",
                    *self._settings,
                    "",
                )
            )
        )
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [command, "-c", str(configuration)], stdout=log, stderr=subprocess.STDOUT
            )
        give_up_s = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < give_up_s and self._process.poll() is None:
            # Its own word for it: on the port alone another program might answer.
            if _RUNNING.search(self.log.read_text(errors="replace")):
                return True
            time.sleep(0.01)
        self.stop()
        return False


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
