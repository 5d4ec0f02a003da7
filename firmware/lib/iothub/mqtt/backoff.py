"""How long to wait before the next connection attempt."""

from iothub.timeouts import BACKOFF_FIRST_MS, BACKOFF_LAST_MS


class Backoff:
    """Full jitter: a random time from 0 to a ceiling that doubles with each failure, so that a
    thousand devices do not come back in the same second. It never gives up. `random_below(n)`
    returns an int from 0 to n - 1."""

    def __init__(self, random_below, first_ms=BACKOFF_FIRST_MS, last_ms=BACKOFF_LAST_MS):
        self._random_below = random_below
        self._first_ms = first_ms
        self._last_ms = last_ms
        self._ceiling_ms = first_ms

    def reset(self):
        """The connection proved good: the next failure waits shortly again."""
        self._ceiling_ms = self._first_ms

    def next_ms(self):
        """The wait before the next attempt."""
        ceiling_ms = self._ceiling_ms
        self._ceiling_ms = min(2 * ceiling_ms, self._last_ms)
        return self._random_below(ceiling_ms + 1)
