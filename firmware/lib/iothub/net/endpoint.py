"""Where a session connects to: opens a stream to one host, through the layers it was given, and
remembers the address."""

import asyncio

from iothub.compat import const
from iothub.errors import DeadlineError, IoTHubError, LinkError
from iothub.net import transport

_POLL_MS = const(10)


class Endpoint:
    """`network` is port.Network or None, `security` one of net/tls.py or None for plain TCP,
    `path` the WebSocket path ("/" or "/mqtt") or None."""

    # One TLS handshake at a time: two do not fit the heap of an RP2040.
    _handshake = None

    def __init__(self, host, port, network=None, security=None, path=None):
        self._host = host
        self._port = port
        self._network = network
        self._security = security
        self._path = path
        self._address = None
        self._holds_handshake = False

    async def open(self):
        """(stream, what to poll for it). Raises LinkError. The caller says handshake_over() when
        the first answer came, or when it closed the stream."""
        if self._network is not None:
            await self._network.up()
        # DNS blocks everything else, so an address that worked is used until it fails.
        if self._address is None:
            self._address = transport.resolve(self._host, self._port)
        opening = None
        try:
            opening = transport.TcpOpening(self._address)
            stream = opening.step()
            while stream is None:
                await asyncio.sleep_ms(_POLL_MS)
                stream = opening.step()
            if self._security is not None:
                await self._begin_handshake()
                stream = self._security.wrap(stream, self._host)
            if self._path is None:
                return stream, stream
            return await self._open_websocket(stream)
        except (IoTHubError, OSError, ValueError, asyncio.CancelledError) as e:
            self._address = None
            self.handshake_over()
            if opening is not None:
                opening.close()
            if isinstance(e, (IoTHubError, asyncio.CancelledError)):
                raise
            raise self.explain(e)

    async def _open_websocket(self, source):
        from iothub.net.websocket import WebSocketStream

        stream = WebSocketStream(source, self._host, self._port, self._path)
        while not stream.step():
            await asyncio.sleep_ms(_POLL_MS)
        return stream, source

    async def _begin_handshake(self):
        if Endpoint._handshake is None:
            Endpoint._handshake = asyncio.Lock()
        await Endpoint._handshake.acquire()
        self._holds_handshake = True

    def handshake_over(self):
        """Lets the next TLS handshake begin."""
        if self._holds_handshake:
            self._holds_handshake = False
            Endpoint._handshake.release()

    def explain(self, error):
        """The LinkError for what reading or writing the stream raised."""
        if self._security is not None:
            from iothub.net import tls

            found = tls.explain(error)
            if found is not None:
                return found
            if self._holds_handshake and not isinstance(error, DeadlineError):
                return tls.broken_handshake()
        if isinstance(error, IoTHubError):
            return error
        return LinkError("connection lost", None, getattr(error, "errno", None))
