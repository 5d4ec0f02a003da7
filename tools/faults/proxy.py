"""A TCP proxy that does what networks do to devices, on request."""

import asyncio
import socket
import struct
from contextlib import suppress
from types import TracebackType
from typing import Self, cast

from tools.faults.flow import Cut, Faults, Flow, Shaper

_LOOPBACK = "127.0.0.1"
_CONNECT_TIMEOUT_S = 10.0
# A link that was closed in order is torn down when its peer has not closed it after this long.
_LINGER_S = 5.0
# Above the first of these nothing more is read from the sender, until it is below the second.
_PAUSE_ABOVE_BYTES = 256 * 1024
_RESUME_BELOW_BYTES = 64 * 1024
# close() with it sends a reset.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Pipe:
    """One direction of a link. `log` holds what the sender sent, as far as it is recorded."""

    def __init__(self, link: "Link", flow: Flow, record_bytes: int) -> None:
        self.log = bytearray()
        self.passed_bytes = 0
        self.done = False
        self.is_slow = flow.delay_ms > 0 and hasattr(socket, "TCP_QUICKACK")  # Linux has it
        self._link = link
        self._flow = flow
        self._record_bytes = record_bytes
        self._shaper = Shaper(flow)
        self._source: asyncio.Transport | None = None
        self._sink: asyncio.Transport | None = None
        self._sink_is_full = False
        self._source_is_paused = False
        self._ended = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def join(self, source: asyncio.Transport, sink: asyncio.Transport) -> None:
        self._source, self._sink = source, sink

    def feed(self, data: bytes) -> None:
        self.log += data[: self._record_bytes - len(self.log)]
        self._shaper.add(data, self._loop.time())
        due_s = self._shaper.next_due_s()
        if self._timer is None or due_s is None or due_s < self._timer.when():
            self.pump()
        else:
            self._regulate()

    def end(self) -> None:
        """The sender closed its side; the receiver is told after what is still on the way."""
        self._ended = True
        self.pump()

    def sink_full(self, full: bool) -> None:
        self._sink_is_full = full
        self._regulate()

    def pump(self) -> None:
        """Passes on what is due, and comes back for the rest."""
        sink = self._sink
        if sink is None or self._link.over:
            return
        for piece in self._shaper.take(self._loop.time()):
            sink.write(piece)
            self.passed_bytes += len(piece)
        if self._shaper.cut_reached:
            self._link.end(self._flow.cut)
            return
        self.stop()
        due_s = self._shaper.next_due_s()
        if due_s is not None:
            self._timer = self._loop.call_at(due_s, self.pump)
        elif self._ended:
            self.done = True
            self._link.pipe_done(sink)
            return
        self._regulate()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _regulate(self) -> None:
        if self._source is None or self._source.is_closing() or self._link.over:
            return
        waiting_bytes = self._shaper.waiting_bytes
        if self._source_is_paused:
            if not self._sink_is_full and waiting_bytes < _RESUME_BELOW_BYTES:
                self._source_is_paused = False
                self._source.resume_reading()
        elif self._sink_is_full or waiting_bytes > _PAUSE_ABOVE_BYTES:
            self._source_is_paused = True
            self._source.pause_reading()


class _End(asyncio.Protocol):
    """One of the two connections of a link: what it reads goes into one pipe, and the other pipe
    writes to it."""

    def __init__(self, link: "Link", into: Pipe, out_of: Pipe) -> None:
        self._link = link
        self._into = into
        self._out_of = out_of

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sock = cast(socket.socket, transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        if self._into.is_slow:
            # On a line this long TCP's own acknowledgement would not be back at once either; so
            # it may wait for data to ride on. The kernel forgets that it was told so.
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        if not self._link.over:
            self._into.feed(data)

    def eof_received(self) -> bool:
        if self._link.over:
            return False
        self._into.end()
        return True  # the other direction may still have something to say

    def pause_writing(self) -> None:
        self._out_of.sink_full(True)

    def resume_writing(self) -> None:
        self._out_of.sink_full(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.end_lost(exc)


class Link:
    """One client's connection and the one to the target that belongs to it."""

    def __init__(self, faults: Faults, record_bytes: int) -> None:
        self.up = Pipe(self, faults.up, record_bytes)
        self.down = Pipe(self, faults.down, record_bytes)
        self.over = False
        self._transports: list[asyncio.Transport] = []
        self._loop = asyncio.get_running_loop()

    async def open(self, client: socket.socket, target: tuple[str, int]) -> None:
        """Joins an accepted connection with a new one to the target. The client is reset when the
        target cannot be reached."""
        near, _ = await self._loop.connect_accepted_socket(
            lambda: _End(self, self.up, self.down), client
        )
        self._transports.append(near)
        near.pause_reading()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                far, _ = await self._loop.create_connection(
                    lambda: _End(self, self.down, self.up), *target
                )
        except OSError:
            self.end(Cut.RST)
            return
        self._transports.append(far)
        if self.over:
            _reset(far)
            return
        self.up.join(near, far)
        self.down.join(far, near)
        near.resume_reading()
        self.up.pump()
        self.down.pump()

    async def swallow(self, client: socket.socket) -> None:
        """Takes a connection that leads nowhere."""
        self.over = True
        near, _ = await self._loop.connect_accepted_socket(asyncio.Protocol, client)
        near.pause_reading()
        self._transports.append(near)

    def end(self, how: Cut) -> None:
        """Ends both connections; what was passed on before still arrives."""
        if self.over:
            return
        if any(transport.get_write_buffer_size() for transport in self._transports):
            self._loop.call_later(0.001, self.end, how)
            return
        self._finish()
        for transport in self._transports:
            if how is Cut.RST:
                _reset(transport)
            elif how is Cut.STALL:
                transport.pause_reading()
            else:
                # Not close(): that would send a reset if the peer still had something to say.
                transport.resume_reading()
                _close_sending(transport)
                self._loop.call_later(_LINGER_S, transport.abort)

    def pipe_done(self, sink: asyncio.Transport) -> None:
        """One direction has come to its end, the other may go on."""
        if self.up.done and self.down.done:
            self.end_lost(None)
        else:
            _close_sending(sink)

    def end_lost(self, exc: Exception | None) -> None:
        """One of the two connections ended by itself; the other goes the same way."""
        if self.over:
            return
        self._finish()
        for transport in self._transports:
            if exc is not None:
                _reset(transport)
            else:
                transport.close()

    def drop(self) -> None:
        """Leaves nothing open."""
        self._finish()
        for transport in self._transports:
            transport.abort()

    def _finish(self) -> None:
        self.over = True
        self.up.stop()
        self.down.stop()


class FaultProxy:
    """`async with FaultProxy((host, port)) as proxy:` listens on `proxy.port` and passes every
    connection on to the target. `faults` are what new links suffer; `next_faults` are for the
    next one only. Links keep the first `record_bytes` of each direction; all are in `links`."""

    def __init__(
        self,
        target: tuple[str, int],
        faults: Faults | None = None,
        *,
        host: str = _LOOPBACK,
        port: int = 0,
        record_bytes: int = 0,
    ) -> None:
        self.target = target
        self.faults = faults or Faults()
        self.next_faults: Faults | None = None
        self.host = host
        self.port = port
        self.links: list[Link] = []
        self._record_bytes = record_bytes
        self._cut: Cut | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._opening: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        # It never listens. It holds the port, so that while the proxy is cut connections are
        # refused and no other program can take the port.
        self._holder = _bound_socket(self.host, self.port)
        self.port = self._holder.getsockname()[1]
        self._listen()
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._stop_listening()
        for task in self._opening:
            task.cancel()
        for link in self.links:
            link.drop()
        self._holder.close()
        await asyncio.sleep(0)  # aborted transports close their sockets in the next round

    def cut(self, how: Cut = Cut.RST) -> None:
        """Ends all links, and until heal() refuses new ones; with STALL it takes them and never
        answers."""
        self._cut = how
        if how is Cut.STALL:
            self._listen()
        else:
            self._stop_listening()
        for link in self.links:
            link.end(how)

    def heal(self) -> None:
        """New links work again. The ones that were cut stay dead, also those that stalled."""
        self._cut = None
        self._listen()

    def _listen(self) -> None:
        if self._accepting is not None:
            return
        self._listener = _bound_socket(self.host, self.port)
        self._listener.listen(128)
        self._accepting = asyncio.create_task(self._accept(self._listener))

    def _stop_listening(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            link = Link(self.next_faults or self.faults, self._record_bytes)
            self.next_faults = None
            self.links.append(link)
            opening = asyncio.create_task(
                link.swallow(client) if self._cut else link.open(client, self.target)
            )
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)


def _bound_socket(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _close_sending(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        # A peer that was killed has reset the connection, and asyncio may not have read that yet.
        with suppress(OSError):
            transport.write_eof()


def _reset(transport: asyncio.Transport) -> None:
    sock = cast(socket.socket, transport.get_extra_info("socket"))
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()
