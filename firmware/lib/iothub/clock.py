"""The one owner of the time. Durations come from ticks, which never jump; the wall clock is known
only after someone trustworthy told it, and nothing else reads time.time()."""

# Ports count their seconds from 1970 (rp2, Unix) or 2000 (ESP32); time.gmtime(0)[0] tells which.
_SECONDS_1970_TO_2000 = 946684800


def epoch_offset_s(epoch_year):
    """Unix time of a port's second 0, from `time.gmtime(0)[0]`."""
    return _SECONDS_1970_TO_2000 if epoch_year == 2000 else 0


class Clock:
    """Unix time in milliseconds (an int). `ticks_ms` and `ticks_diff` are the port's, handed in.
    Must be read or set once in six days, after which ticks say nothing; a running device does."""

    def __init__(self, ticks_ms, ticks_diff):
        self._ticks_ms = ticks_ms
        self._ticks_diff = ticks_diff
        self._base_ms = None
        self._base_ticks = 0
        self.uncertainty_ms = None

    @property
    def known(self):
        """Whether the time was set since the start."""
        return self._base_ms is not None

    def set(self, unix_ms, at_ticks, uncertainty_ms=0):
        """It was `unix_ms`, give or take `uncertainty_ms`, when ticks_ms() was `at_ticks`."""
        self._base_ms = unix_ms
        self._base_ticks = at_ticks
        self.uncertainty_ms = uncertainty_ms

    def now_ms(self):
        """Unix time in milliseconds, or None while it is not known."""
        if self._base_ms is None:
            return None
        ticks = self._ticks_ms()
        self._base_ms += self._ticks_diff(ticks, self._base_ticks)
        self._base_ticks = ticks
        return self._base_ms

    def now_s(self):
        """Unix time in seconds, or None while it is not known."""
        now_ms = self.now_ms()
        return None if now_ms is None else now_ms // 1000
