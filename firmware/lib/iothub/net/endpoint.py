"""Where a client connects to: a host with the layers to reach it, and its address remembered."""

import asyncio

from iothub.compat import const
from iothub.errors import DeadlineError, IoTHubError, LinkError
from iothub.net import transport

_POLL_MS = const(10)


class Endpoint:
    """`network` is port.Network or None, `security` one of net/tls.py or None for plain TCP,
    `path` the WebSocket path ("/" or "/mqtt") or None."""

    # One TLS handshake at a time: two do not fit the heap of an RP2040.
    _handshake: "asyncio.Lock" = None

    def __init__(self, host, port, network=None, security=None, path=None):
        self._host = host
        self._port = port
        self._network = network
        self._security = security
        self._path = path
        self._address = None
        self._holds_handshake = False

    def begin(self):
        """A transport.Opening, for a driver that waits by itself. Raises LinkError."""
        # DNS blocks everything else, so an address that worked is used until it fails.
        if self._address is None:
            self._address = transport.resolve(self._host, self._port)
        address = self._address
        return transport.Opening(address, self._host, self._port, self._security, self._path)

    async def open(self):
        """(stream, what to poll for it). Raises LinkError. The caller says handshake_over() when
        the first answer came, or when it closed the stream."""
        if self._network is not None:
            await self._network.up()
        if self._security is not None:
            if Endpoint._handshake is None:
                Endpoint._handshake = asyncio.Lock()
            await Endpoint._handshake.acquire()
            self._holds_handshake = True
        opening = None
        try:
            opening = self.begin()
            while not opening.step():
                await asyncio.sleep_ms(_POLL_MS)
            return opening.stream, opening.pollable
        except BaseException as e:
            self._address = None
            error = e
            if isinstance(e, (OSError, ValueError)):
                error = self.explain(e)
            self.handshake_over()
            if opening is not None:
                opening.close()
            raise error

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
