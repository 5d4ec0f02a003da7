"""An emulated Pico W for the tests of this folder."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tools.pico import EmulatedPico


@pytest.fixture(scope="module")
def pico() -> Iterator[EmulatedPico]:
    """A board that the tests of one file share; none of them may reset it or leave it busy."""
    with EmulatedPico() as board:
        yield board


class EchoServer:
    """Sends back what it gets, one connection after the other; hangs up when it gets `stop`."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self.connections = 0
        self.hung_up = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self._thread.join(timeout=5)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                with connection:
                    self._echo(connection)

    def _echo(self, connection: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(4096):
                if data == b"stop":
                    break
                connection.sendall(data)
        self.hung_up.set()


@pytest.fixture
def echo_server() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.close()


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
