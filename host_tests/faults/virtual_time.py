"""Time that costs nothing: it jumps from one thing that happens to the next. Like all virtual_*
modules it runs under CPython and MicroPython, to the same end."""

import heapq


class Agenda:
    """What is to happen, and when. `now_ms` is the present."""

    def __init__(self):
        self.now_ms = 0
        self._events = []
        self._number = 0  # of two things at one time the one planned first comes first

    def after(self, delay_ms, function, *arguments):
        self._number += 1
        heapq.heappush(self._events, (self.now_ms + delay_ms, self._number, function, arguments))

    def run_until(self, end_ms):
        """Lets everything happen that is due until then."""
        events = self._events
        while events and events[0][0] <= end_ms:
            self.now_ms, _, function, arguments = heapq.heappop(events)
            function(*arguments)
        self.now_ms = end_ms
