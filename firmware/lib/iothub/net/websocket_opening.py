"""The opening handshake of a WebSocket. Loaded while it lasts (net/websocket.py)."""

import os
from time import ticks_diff, ticks_ms

from iothub.codec import websocket_opening as codec
from iothub.errors import CONNECT, DeadlineError, LinkError, ProtocolError
from iothub.timeouts import WEBSOCKET_HANDSHAKE_MS


class Opening:
    """Over a connected non-blocking stream."""

    def __init__(self, source, host, port, path):
        self._source = source
        self._key = codec.handshake_key(os.urandom(16))
        self._started_ms = ticks_ms()
        self._out = codec.handshake_request(host, port, path, self._key)
        self._head = bytearray()

    def step(self):
        """Goes on; True when it is finished. Raises LinkError."""
        if ticks_diff(ticks_ms(), self._started_ms) > WEBSOCKET_HANDSHAKE_MS:
            raise DeadlineError("no WebSocket in time", CONNECT)
        while self._out:
            written = self._source.write(self._out)
            if not written:
                return False
            self._out = self._out[written:]
        head = self._head
        while not head.endswith(b"\r\n\r\n"):
            code = None
            try:
                # One byte at a time: what follows the head is frames already.
                byte = self._source.read(1)
            except OSError as e:
                byte = b""
                code = e.errno
            if byte is None:
                return False
            if not byte:
                raise LinkError(
                    "closed by the server during the WebSocket handshake", CONNECT, code
                )
            head.extend(byte)
            if len(head) > codec.MAX_HEAD_BYTES:
                raise ProtocolError("websocket: the answer is too long")
        codec.check_answer(bytes(head), self._key)
        return True
