"""What a faulty network does to a stream of bytes: which pieces leave it, and when.

Nothing here does I/O: bytes and the time go in, pieces that are due come out.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

# A rate limit lets bytes go in pieces of this many seconds' worth, as a slow line would.
_RATE_SLICE_S = 0.01


class Cut(Enum):
    """How a link ends."""

    RST = "rst"  # reset: both sides get ECONNRESET
    FIN = "fin"  # closed in order: both sides read an end of file
    STALL = "stall"  # silence: nothing passes any more, and nobody is told


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of a link. The default passes bytes on as they come."""

    delay_ms: float = 0
    bytes_per_s: float | None = None
    # Nothing is longer than `piece_bytes`, and a piece ends at offset `split_at` of the stream;
    # what follows such an end comes `gap_ms` later, so that the receiver reads them apart.
    piece_bytes: int | None = None
    split_at: int | None = None
    gap_ms: float = 1
    # Bytes are held back until so many are together, or `gather_ms` after the first of them.
    gather_bytes: int | None = None
    gather_ms: float = 3
    # The link ends in the manner of `cut` when exactly so many bytes have passed.
    cut_after_bytes: int | None = None
    cut: Cut = Cut.RST


@dataclass(frozen=True, slots=True)
class Faults:
    """Both directions of a link: `up` from the client to the target, `down` back."""

    up: Flow = field(default_factory=Flow)
    down: Flow = field(default_factory=Flow)


class Shaper:
    """Turns the bytes of one direction into pieces with a time to leave. Times are in seconds of
    any clock that never goes back."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._held = bytearray()
        self._held_until_s = 0.0
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._scheduled_bytes = 0
        self._taken_bytes = 0
        self._last_due_s = 0.0
        self._line_free_s = 0.0

    @property
    def waiting_bytes(self) -> int:
        return len(self._held) + self._scheduled_bytes - self._taken_bytes

    @property
    def cut_reached(self) -> bool:
        """Whether every byte that may pass has been taken."""
        return self._taken_bytes == self._flow.cut_after_bytes

    def add(self, data: bytes, now_s: float) -> None:
        gather_bytes = self._flow.gather_bytes
        if gather_bytes is None:
            self._schedule(data, now_s)
            return
        if not self._held:
            self._held_until_s = now_s + self._flow.gather_ms / 1000
        self._held += data
        while len(self._held) >= gather_bytes:
            self._schedule(bytes(self._held[:gather_bytes]), now_s)
            del self._held[:gather_bytes]
            self._held_until_s = now_s + self._flow.gather_ms / 1000

    def take(self, now_s: float) -> list[bytes]:
        """The pieces that are due, in order."""
        if self._held and self._held_until_s <= now_s:
            self._schedule(bytes(self._held), now_s)
            self._held.clear()
        due = []
        while self._pieces and self._pieces[0][0] <= now_s:
            piece = self._pieces.popleft()[1]
            self._taken_bytes += len(piece)
            due.append(piece)
        return due

    def next_due_s(self) -> float | None:
        """When take() will have something; None when nothing waits."""
        times = [self._pieces[0][0]] if self._pieces else []
        if self._held:
            times.append(self._held_until_s)
        return min(times, default=None)

    def _schedule(self, data: bytes, now_s: float) -> None:
        flow = self._flow
        if flow.cut_after_bytes is not None:
            data = data[: flow.cut_after_bytes - self._scheduled_bytes]
        at = 0
        while at < len(data):
            size = self._piece_size(len(data) - at)
            due_s = max(now_s + flow.delay_ms / 1000, self._last_due_s)
            if self._scheduled_bytes and (
                flow.piece_bytes is not None or self._scheduled_bytes == flow.split_at
            ):
                due_s = max(due_s, self._last_due_s + flow.gap_ms / 1000)
            if flow.bytes_per_s is not None:
                due_s = max(due_s, self._line_free_s)
                self._line_free_s = due_s + size / flow.bytes_per_s
            self._pieces.append((due_s, data[at : at + size]))
            self._last_due_s = due_s
            self._scheduled_bytes += size
            at += size

    def _piece_size(self, size: int) -> int:
        flow = self._flow
        if flow.piece_bytes is not None:
            size = min(size, flow.piece_bytes)
        if flow.split_at is not None and self._scheduled_bytes < flow.split_at:
            size = min(size, flow.split_at - self._scheduled_bytes)
        if flow.bytes_per_s is not None:
            size = min(size, max(1, int(flow.bytes_per_s * _RATE_SLICE_S)))
        return size
