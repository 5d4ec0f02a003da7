"""Commands as HTTP requests to a running hub, found by the note in its data directory."""

import argparse
import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tools.hub.config import LOOPBACK

DEFAULT_DATA = Path(".hub")
# What a serving hub writes into its data directory and removes when it ends.
RUNNING_FILE = "running.json"
# A call to a device may take ten seconds by itself.
TIMEOUT_S = 15
_PIECE_BYTES = 64 * 1024


class CommandError(Exception):
    """A command that failed. The text says what happened and what to do."""


def add_hub_options(parser: argparse.ArgumentParser) -> None:
    """The options by which a command finds its hub."""
    parser.add_argument(
        "--data",
        type=Path,
        default=DEFAULT_DATA,
        metavar="DIR",
        help="data directory of the running hub (default: %(default)s)",
    )
    parser.add_argument(
        "--api-port",
        type=int,
        metavar="PORT",
        help="API port of the running hub, instead of --data",
    )


class HubClient:
    """Requests to one hub."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._port = options.api_port or _running_port(options.data)

    def get(self, *path: str, **query: Any) -> Any:
        return self._request("GET", path, query)

    def post(self, *path: str, **body: Any) -> Any:
        return self._request("POST", path, {}, body)

    def put_file(self, *path: str, file: Path, told: Callable[[int], None]) -> Any:
        """Send a file as it is; `told` hears how many bytes have gone. Raises CommandError."""

        def pieces() -> Iterator[bytes]:
            sent = 0
            with file.open("rb") as source:
                while piece := source.read(_PIECE_BYTES):
                    yield piece
                    sent += len(piece)
                    told(sent)

        try:
            size = file.stat().st_size
            connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=TIMEOUT_S)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(size),
            }
            connection.request("PUT", _target(path, {}), pieces(), headers)
            response = connection.getresponse()
        except ConnectionError as error:
            raise self._silent(error) from None
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}") from None
        content = response.read()
        connection.close()
        if response.status >= 400:
            raise _refusal(content)
        return json.loads(content)

    def delete(self, *path: str, **query: Any) -> Any:
        return self._request("DELETE", path, query)

    def lines(self, *path: str, **query: Any) -> Iterator[Any]:
        """The objects of a stream, until the hub ends it."""
        connection = http.client.HTTPConnection(LOOPBACK, self._port)
        response = self._exchange(connection, "GET", _target(path, query), None)
        if response.status != 200:
            raise _refusal(response.read())
        for line in response:
            yield json.loads(line)

    def _request(
        self, method: str, path: tuple[str, ...], query: dict[str, Any], body: Any = None
    ) -> Any:
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=TIMEOUT_S)
        response = self._exchange(connection, method, _target(path, query), body)
        content = response.read()
        connection.close()
        if response.status >= 400:
            raise _refusal(content)
        return json.loads(content)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, target: str, body: Any
    ) -> http.client.HTTPResponse:
        headers = {"Content-Type": "application/json"}
        try:
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            return connection.getresponse()
        except OSError as error:
            raise self._silent(error) from None

    def _silent(self, error: OSError) -> CommandError:
        return CommandError(
            f"no hub answers on {LOOPBACK}:{self._port} ({error}); "
            "start one with: python -m tools.hub"
        )


def _target(path: tuple[str, ...], query: dict[str, Any]) -> str:
    target = "/" + "/".join(quote(part, safe="") for part in path)
    given = {name: value for name, value in query.items() if value is not None}
    return f"{target}?{urlencode(given, doseq=True)}" if given else target


def _refusal(content: bytes) -> CommandError:
    try:
        return CommandError(json.loads(content)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return CommandError("what answers on this port is not a hub")


def _running_port(data: Path) -> int:
    note = data / RUNNING_FILE
    try:
        return int(json.loads(note.read_text())["api_port"])
    except FileNotFoundError:
        raise CommandError(
            f"no hub is running on {data} (there is no {note}); start one with: "
            "python -m tools.hub, or name its port with --api-port"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{note} cannot be read: {error}") from None
