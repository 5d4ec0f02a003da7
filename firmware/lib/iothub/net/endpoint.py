"""Where a client connects to: a host with the layers to reach it, and its address remembered."""

from asyncio import Lock
from errno import ENOMEM

from iothub.errors import IoTHubError, LinkError
from iothub.loading import for_now


class Endpoint:
    """`network` is port.Network or None, `security` an SSLContext (net/tls.py) or None for
    plain TCP, `path` the WebSocket path ("/" or "/mqtt") or None."""

    # One TLS handshake at a time: two do not fit the heap of an RP2040.
    _handshake: Lock = None

    def __init__(self, host, port, network=None, security=None, path=None):
        self.host = host
        self.port = port
        self.network = network
        self.security = security
        self.path = path
        self._address = None  # as getaddrinfo gave it, for as long as it works
        self._held_handshake = None  # the lock, while we have it
        self._raw = None  # the socket, while a handshake lasts: it may know why that ended

    def begin(self):
        """A transport.Opening, for a driver that waits by itself, and says handshake_over() as
        open() wants it. Raises LinkError."""
        return for_now("iothub.net.transport").begin(self)

    def open(self):
        """To be awaited: (stream, what to poll for it). Raises LinkError. The caller says
        handshake_over() when the stream took its first bytes, which is after the handshake, or
        when it closed it."""
        return for_now("iothub.net.transport").open_stream(self)

    def handshake_over(self):
        """TLS is up, or given up: lets the next handshake begin."""
        self._raw = None
        held = self._held_handshake
        if held is not None:
            self._held_handshake = None
            held.release()

    def explain(self, error):
        """The LinkError for what opening, reading or writing the stream raised."""
        if isinstance(error, IoTHubError):
            return error
        if self.security is None:
            return LinkError("connection lost", None, error.errno)
        try:
            return for_now("iothub.net.tls_errors").explain(error, self._raw)
        except LinkError as e:
            return e  # it cannot be loaded
        except MemoryError:
            return LinkError("TLS failed, and there is no memory to tell why", None, ENOMEM)

    def ended(self, phase=None):
        """The LinkError for a stream that came to its end."""
        if self._raw is None:
            return LinkError("closed by the server", phase)
        return self.explain(OSError(0))
