"""MQTT on plain TCP. Another way in is another listener that feeds `Broker.serve`."""

import asyncio

from tools.hub.broker.broker import Broker


class ListenError(Exception):
    """A port cannot be opened. The text says which and what to do."""


class TcpListener:
    """Listens on one port; port 0 asks the system for a free one."""

    def __init__(self, broker: Broker, host: str, port: int) -> None:
        self._broker = broker
        self._host = host
        self._port = port
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Open the port and return it. Raises ListenError."""
        try:
            self._server = await asyncio.start_server(
                self._broker.serve, self._host, self._port, backlog=256
            )
        except OSError as error:
            raise ListenError(
                f"MQTT cannot listen on {self._host}:{self._port}: {error.strerror}; "
                "choose another with --mqtt-port (0 for any free one)"
            ) from error
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Accept no more; open connections are the broker's to close."""
        if self._server is not None:
            self._server.close()
