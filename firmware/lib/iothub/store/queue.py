"""Messages that wait for a connection, oldest first. This one lives in RAM: it survives an
outage, not a power cut."""

from iothub.errors import QueueFull

MAX_MESSAGES = 50
MAX_BYTES = 8192


class RamQueue:
    """A bounded first-in first-out of (topic, payload, token, retain). When it is full it refuses
    (the default) or drops the oldest, which `dropped` counts."""

    def __init__(self, max_messages=MAX_MESSAGES, max_bytes=MAX_BYTES, drop_oldest=False):
        self._entries = []
        self._bytes = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._drop_oldest = drop_oldest
        self.dropped = 0

    def __len__(self):
        return len(self._entries)

    def put(self, topic, payload, token=None, retain=0):
        """Keeps a copy of the message. Returns the tokens of messages dropped for it. Raises
        QueueFull; then nothing was kept and nothing lost."""
        size = len(topic) + len(payload)
        evicted = []
        if size > self._max_bytes:
            raise QueueFull("the message is larger than the whole queue")
        while len(self._entries) >= self._max_messages or self._bytes + size > self._max_bytes:
            if not self._drop_oldest:
                raise QueueFull("the offline queue is full")
            evicted.append(self.peek()[2])
            self.drop()
            self.dropped += 1
        self._entries.append((bytes(topic), bytes(payload), token, retain))
        self._bytes += size
        return evicted

    def peek(self):
        """The oldest message, which stays."""
        return self._entries[0]

    def drop(self):
        """Forgets the oldest message."""
        topic, payload, _, _ = self._entries.pop(0)
        self._bytes -= len(topic) + len(payload)
