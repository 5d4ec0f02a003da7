"""Messages that wait for a connection, oldest first. RamQueue keeps them in RAM: they survive an
outage, not a power cut; store/flash_queue.py has the one that survives both.

A message is put, taken when it is handed to the window, and settled when it is acknowledged.
Until then it counts against the bounds.
"""

from iothub.errors import QueueFull

MAX_MESSAGES = 50
MAX_BYTES = 8192


class Entry:
    """One message. `topic` and `payload` are bytes-like, and whoever took the entry may drop them;
    `token` is what put() was given. `packet_id` 0 leaves the choice to the sender. `dup`: it may
    have been sent before. `size_bytes`: what it counts."""

    packet_id = 0
    dup = False
    segment: list  # where the flash queue has it
    offset: int

    def __init__(self, topic, payload, token, retain, size_bytes):
        self.topic = topic
        self.payload = payload
        self.token = token
        self.retain = retain
        self.size_bytes = size_bytes


class RamQueue:
    """Refuses a message when it is full (the default), or drops the oldest. `unsettled` counts the
    messages kept, `dropped` those that made room for newer ones, `writes` those to the flash;
    len() those not taken yet.

    The queue on flash has the same bounds, policy and accounts; what it does in another way are
    _keep(), which may raise (then nothing changed), peek(), _oldest(), _advance() and _forget().
    """

    _OVERHEAD_BYTES = 0
    durable = False  # whether what is put survives a power cut
    writes = 0

    def __init__(self, max_messages=MAX_MESSAGES, max_bytes=MAX_BYTES, drop_oldest=False):
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._drop_oldest = drop_oldest
        self._waiting = []
        self._taken = []
        self._taken_bytes = 0
        self._bytes = 0
        self.unsettled = 0
        self.dropped = 0

    def __len__(self):
        return self.unsettled - len(self._taken)

    def put(self, topic, payload, token=None, retain=0):
        """Keeps a copy of the message. Returns the tokens of messages dropped for it, which are
        the oldest that nobody took. Raises QueueFull; then nothing was kept and nothing lost."""
        size_bytes = self._OVERHEAD_BYTES + len(topic) + len(payload)
        if size_bytes > self._max_bytes:
            raise QueueFull("the message is larger than the whole queue")
        # What has to stay.
        messages = self.unsettled
        total_bytes = self._bytes
        if self._drop_oldest:
            messages = len(self._taken)
            total_bytes = self._taken_bytes
        if messages >= self._max_messages or total_bytes + size_bytes > self._max_bytes:
            raise QueueFull("the offline queue is full")
        # Before others go for it, since this may fail.
        self._keep(topic, payload, token, retain, size_bytes)
        self._bytes += size_bytes
        self.unsettled += 1
        evicted = []
        while self.unsettled > self._max_messages or self._bytes > self._max_bytes:
            entry = self._oldest()
            if entry is None:
                break
            self._advance(entry)
            self._forget(entry)
            self.dropped += 1
            evicted.append(entry.token)
        return evicted

    def peek(self):
        """The oldest entry that was not taken yet, or None."""
        return self._waiting[0] if self._waiting else None

    _oldest = peek

    def take(self):
        """Marks the entry that peek() gives as taken, and returns it."""
        entry = self.peek()
        if entry is not None:
            self._taken.append(entry)  # first, since this may fail
            self._advance(entry)
            self._taken_bytes += entry.size_bytes
        return entry

    def settle(self, entry):
        """Forgets a taken entry, in whatever order."""
        self._taken.remove(entry)
        self._taken_bytes -= entry.size_bytes
        self._forget(entry)

    def _keep(self, topic, payload, token, retain, size_bytes):
        self._waiting.append(Entry(bytes(topic), bytes(payload), token, retain, size_bytes))

    def _advance(self, entry):
        """The oldest entry is not waiting any more."""
        self._waiting.pop(0)

    def _forget(self, entry):
        self._bytes -= entry.size_bytes
        self.unsettled -= 1
