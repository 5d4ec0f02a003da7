"""HTTP/1.1 over our own streams, on asyncio. One request at a time; the connection is kept for the
next one where the server allows it.

    client = http.Client(Endpoint(host, 443, network, security), host)
    response = await client.request("GET", "/file", (("Range", "bytes=100-"),), wanted=(b"etag",))
    while count := await client.readinto(buf):
        ...
    client.close()
"""

import asyncio
from time import ticks_add, ticks_diff, ticks_ms

from iothub.codec import http as codec
from iothub.compat import const
from iothub.errors import RECEIVE, DeadlineError, ProtocolError
from iothub.timeouts import HTTP_BODY_MS, HTTP_RESPONSE_MS, HTTP_STALL_MS

# Between looks whether the server moved: shortly at first, since a full window is there at once.
_POLL_FIRST_MS = const(0)
_POLL_LAST_MS = const(10)
_RX_BYTES = const(512)  # heads come through it; bodies only by what follows a head in one read


class Client:
    """`endpoint` (net/endpoint.py) opens the streams, `host` is what the Host field says. A
    `session` (net/session.py) steps aside as long as the connection is open: for boards on which
    two TLS sessions do not fit."""

    def __init__(self, endpoint, host, session=None):
        self.response = None
        self._endpoint = endpoint
        self._host = host
        self._session = session
        self._stream = None
        self._rx = bytearray(_RX_BYTES)
        self._at = self._end = 0  # what of _rx was read and not taken yet
        self._begin(0)

    async def request(self, method, path, fields=(), body=None, wanted=()):
        """Sends a request, GET or POST, and returns its codec Response as soon as the head is
        there. `body` is bytes or None. Raises LinkError, its kinds, or BadInput. An error closes
        the connection; nothing is sent twice."""
        size = None if body is None else len(body)
        head = codec.request_head(method, path, self._host, fields, size)
        if not self.is_reusable():
            self.close()
        self.path = path
        response = self.response = codec.Response(wanted)
        try:
            if self._stream is None:
                await self._open()
            self._begin(HTTP_RESPONSE_MS)
            await self._write(head + body if body else head)
            while response.state == codec.HEAD:
                if not self._framing():
                    await self._wait()
        except BaseException as e:
            raise self._failed(e)
        self._release()
        return response

    def readinto(self, buf):
        """A coroutine: fills the front of `buf` with what comes next of the body; how many bytes,
        0 at its end. Raises LinkError."""
        self._begin(HTTP_STALL_MS)
        return self._body(buf)

    async def read(self, max_bytes):
        """The whole rest of the body (bytes). Raises LinkError; ProtocolError when it has more
        than `max_bytes`."""
        length = self.response.length
        body = bytearray(min(max_bytes, max_bytes if length is None else length) + 1)
        view = memoryview(body)
        size = 0
        self._begin(HTTP_BODY_MS)
        while size <= max_bytes:
            count = await self._body(view[size:])
            if not count:
                return bytes(view[:size])
            size += count
        raise self._failed(ProtocolError("http: the body is over %d bytes" % max_bytes))

    async def _body(self, buf):
        while True:
            count = self.read_now(buf)
            if count is not None:
                return count
            try:
                await self._wait()
            except BaseException as e:
                raise self._failed(e)

    def read_now(self, buf):
        """readinto() without waiting: None if nothing is there now. Every body comes this way."""
        response = self.response
        try:
            while not response.left:
                if response.state == codec.DONE:
                    self._release()
                    return 0
                if not self._framing():
                    return None
            count = len(buf)
            if count > response.left:
                count = response.left
                buf = memoryview(buf)[:count]
            if self._at < self._end:
                count = min(count, self._end - self._at)
                buf[:count] = memoryview(self._rx)[self._at : self._at + count]
                self._at += count
            else:
                count = self._stream.readinto(buf)
                if count is None:
                    return None
                if not count:
                    response.ended()
                    self._release()
                    return 0
            response.took(count)
            return count
        except BaseException as e:
            raise self._failed(e)

    def close(self):
        """Hangs up. The next request connects again."""
        self._at = self._end = 0
        if self._stream is not None:
            self._endpoint.handshake_over()
            self._stream.close()
            self._stream = None
            if self._session is not None:
                self._session.step_back()

    def is_reusable(self):
        """Whether the next request goes over the connection of the last one."""
        if self._stream is None:
            return False
        response = self.response
        if response.state != codec.DONE or not response.keeps_open or self._at != self._end:
            return False
        try:
            # The end of the stream, or bytes nobody asked for: the server is done with it.
            return self._stream.readinto(self._rx) is None
        except (OSError, ValueError):
            return False

    async def _open(self):
        try:
            if self._session is not None:
                await self._session.step_aside()
            self._stream, _ = await self._endpoint.open()
        except BaseException:
            if self._session is not None:
                self._session.step_back()
            raise

    def _begin(self, limit_ms):
        self._deadline_ms = ticks_add(ticks_ms(), limit_ms)
        self._pause_ms = _POLL_FIRST_MS

    async def _wait(self):
        """A while, until the other side may have moved."""
        if ticks_diff(self._deadline_ms, ticks_ms()) < 0:
            raise DeadlineError("http: no answer in time", RECEIVE)
        await asyncio.sleep_ms(self._pause_ms)
        self._pause_ms = min(2 * self._pause_ms + 1, _POLL_LAST_MS)

    async def _write(self, data):
        view = memoryview(data)
        done = 0
        while done < len(data):
            count = self._stream.write(view[done:])
            if count:
                done += count
                self._endpoint.handshake_over()
            else:
                await self._wait()

    def _framing(self):
        """Takes what comes before, between and after the bytes of the body. False if nothing is
        there now."""
        if self._at == self._end:
            count = self._stream.readinto(self._rx)
            if count is None:
                return False
            if not count:
                self.response.ended()
            self._at = 0
            self._end = count
        self._at = self.response.received(self._rx, self._at, self._end)
        return True

    def _release(self):
        """Hangs up after a response whose connection will not be used again."""
        if self.response.state == codec.DONE and not self.response.keeps_open:
            self.close()

    def _failed(self, error):
        if isinstance(error, (OSError, ValueError)):
            error = self._endpoint.explain(error)
        self._endpoint._address = None  # perhaps someone else answers there by now
        self.close()
        return error
