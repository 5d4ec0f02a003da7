"""Where a session connects to: opens a stream to one host, and remembers its address."""

import asyncio

from iothub.compat import const
from iothub.errors import LinkError
from iothub.net import transport

_POLL_MS = const(10)


class TcpEndpoint:
    """Plain MQTT over TCP. Call it to get a connected stream."""

    def __init__(self, host, port):
        self._host = host
        self._port = port
        self._address = None

    async def __call__(self):
        # DNS blocks everything else, so an address that worked is used until it fails.
        if self._address is None:
            self._address = transport.resolve(self._host, self._port)
        opening = None
        try:
            opening = transport.TcpOpening(self._address)
            while True:
                stream = opening.step()
                if stream is not None:
                    return stream
                await asyncio.sleep_ms(_POLL_MS)
        except LinkError:
            self._address = None
            raise
        except asyncio.CancelledError:
            if opening is not None:
                opening.close()
            raise
