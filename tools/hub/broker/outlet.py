"""The way out of one connection: held, joined, delayed where a fault says so, and ended."""

import asyncio
from collections.abc import Callable

from tools.hub.faults import Faults
from tools.hub.transport.stream import Stream


class Outlet:
    """Collects what a tick brings and writes it at once, always in order."""

    def __init__(self, stream: Stream, faults: Faults, linger_s: float) -> None:
        self._stream = stream
        self._faults = faults
        self._linger_s = linger_s
        self._loop = asyncio.get_running_loop()
        self._held: list[bytes] = []
        self._write_not_before = 0.0
        # A fault's black hole: everything put in disappears.
        self.silent = False

    def put(self, data: bytes) -> None:
        self._held.append(data)

    def unsent_bytes(self) -> int:
        return self._stream.unsent_bytes()

    def flush(self, device: str | None) -> None:
        """Write what was put in since the last time. `device` is whom a delay may strike."""
        if self._held and not self.silent:
            data = b"".join(self._held)
            if self._faults.armed:
                self._delay(self._faults.delay_ms("delay", device) / 1000)
            self._when_due(self._stream.write, data)
        self._held.clear()

    def end(self) -> None:
        """Close once everything is sent, or the peer has had its time to read it."""
        self._when_due(self._close)

    def abort(self) -> None:
        """Close now, unsent bytes and all."""
        self._held.clear()
        self._stream.abort()

    def _close(self) -> None:
        if self.silent:
            self.abort()
        else:
            self._stream.close()
            self._loop.call_later(self._linger_s, self._stream.abort)

    def _delay(self, delay_s: float) -> None:
        self._write_not_before = max(self._write_not_before, self._loop.time() + delay_s)

    def _when_due(self, action: Callable[..., None], *arguments: bytes) -> None:
        if self._write_not_before > self._loop.time():
            self._loop.call_at(self._write_not_before, action, *arguments)
        else:
            action(*arguments)
