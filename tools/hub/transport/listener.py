"""One port: accepts, opens the layers under a deadline, and hands the stream on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from tools.hub import events
from tools.hub.events import Records
from tools.hub.transport.stream import Stream, StreamBroken, TcpStream

# Connections the system accepts before this process does: a fleet that comes back at once.
BACKLOG = 4096
_TITLES = {
    "tcp": ("MQTT", "with --mqtt-port"),
    "tls": ("TLS", "with --tls-port"),
    "ws": ("WebSocket", "with --ws-port"),
    "wss": ("secure WebSocket", "with --wss-port"),
    "iotmq": ("IoT MQ", "port"),
}
_log = logging.getLogger("hub")

Layer = Callable[[Stream], Awaitable[Stream]]


class ListenError(Exception):
    """A port cannot be opened. The text says which and what to do."""


class Server(Protocol):
    """Who gets the streams."""

    async def serve(self, stream: Stream, transport: str) -> None: ...


class Listener:
    """`name` is the transport (tcp, tls, ws, wss, iotmq), as records and errors call it."""

    def __init__(
        self,
        name: str,
        layers: Sequence[Layer],
        server: Server,
        records: Records,
        opening_timeout_s: float,
        max_opening: int,
    ) -> None:
        self.name = name
        self._layers = layers
        self._server = server
        self._records = records
        self._opening_timeout_s = opening_timeout_s
        self._max_opening = max_opening
        self._opening: set[TcpStream] = set()
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port; 0 asks the system for a free one. Raises ListenError."""
        try:
            self._listening = await asyncio.start_server(self._accept, host, port, backlog=BACKLOG)
        except OSError as error:
            title, remedy = _TITLES[self.name]
            raise ListenError(
                f"{title} cannot listen on {host}:{port}: {error.strerror}; "
                f"choose another {remedy} (0 for any free one)"
            ) from error
        return int(self._listening.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Accept no more, and give up what is still opening; the rest is the server's to close."""
        if self._listening is not None:
            self._listening.close()
        for stream in list(self._opening):
            stream.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = TcpStream(reader, writer)
        if len(self._opening) >= self._max_opening:
            _log.warning("%s: refused, %d are opening", self.name, len(self._opening))
            stream.abort()
            return
        opened = await self._open(stream)
        if opened is None:
            stream.close()
        else:
            await self._server.serve(opened, self.name)

    async def _open(self, stream: TcpStream) -> Stream | None:
        """The topmost stream; None when a layer did not come to be, which is recorded."""
        opened: Stream = stream
        self._opening.add(stream)
        try:
            async with asyncio.timeout(self._opening_timeout_s):
                for layer in self._layers:
                    opened = await layer(opened)
        except TimeoutError:
            self._fail(stream, f"not open within {self._opening_timeout_s:g} s")
        except StreamBroken as error:
            self._fail(stream, str(error))
        except OSError as error:
            self._fail(stream, f"the connection broke: {type(error).__name__}")
        except Exception:
            _log.exception("opening a connection", extra={"detail": {"peer": stream.peer}})
            stream.abort()
        else:
            return opened
        finally:
            self._opening.discard(stream)
        return None

    def _fail(self, stream: TcpStream, reason: str) -> None:
        self._records.event(
            events.HANDSHAKE, None, transport=self.name, peer=stream.peer, reason=reason
        )
