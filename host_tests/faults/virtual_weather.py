"""A network with outages, from seconds to hours, of every kind a device meets."""

from iothub.timeouts import TCP_CONNECT_MS

from host_tests.faults.virtual_link import Link

CLEAR = 0
UNREACHABLE = 1  # no route: connecting takes its deadline
REFUSING = 2  # nobody listens
SILENT = 3  # connects, and then nothing passes
DEAF = 4  # what the device sends passes, the answers do not
BUSY = 5  # the server refuses logins, CONNACK 3
FORBIDDEN = 6  # CONNACK 5: the device is disabled for a while
NAMES = ("clear", "unreachable", "refusing", "silent", "deaf", "busy", "forbidden")
_CONNACK = {BUSY: 3, FORBIDDEN: 5}

MINUTE_MS = 60000
HOUR_MS = 60 * MINUTE_MS
_MAX_DOUBLINGS = 13  # of a second: two hours and a quarter
_REFUSED_MS = 50


class Weather:
    """`outages` counts them by kind, `outage_ms` is how long they were."""

    def __init__(self, agenda, dice, server):
        self._agenda = agenda
        self._dice = dice
        self._server = server
        self._condition = CLEAR
        self._link = None
        self.outages = [0] * len(NAMES)
        self.sessions_lost = 0
        self.outage_ms = 0

    def plan(self, end_ms):
        """Outages from now on; the last is over before `end_ms`."""
        gap_ms = (2 + self._dice.below(90)) * MINUTE_MS
        # From a second to hours, short ones being as frequent as long ones.
        longest_ms = 1000 << self._dice.below(_MAX_DOUBLINGS + 1)
        outage_ms = longest_ms // 2 + self._dice.below(longest_ms)
        if self._agenda.now_ms + gap_ms + outage_ms < end_ms:
            kind = 1 + self._dice.below(len(NAMES) - 1)
            self._agenda.after(gap_ms, self._begin, kind, outage_ms)
            self._agenda.after(gap_ms + outage_ms, self._end, end_ms)

    def connect(self, device, attempt):
        """A device opens a connection."""
        condition = self._condition
        if condition == UNREACHABLE:
            self._agenda.after(TCP_CONNECT_MS, device.failed, attempt)
        elif condition == REFUSING:
            self._agenda.after(_REFUSED_MS, device.failed, attempt)
        else:
            latency_ms = 20 + self._dice.below(400)
            self._link = link = Link(self._agenda, latency_ms, device)
            self._server.accept(link)
            if condition == SILENT:
                link.passes_up = link.passes_down = False
            elif condition == DEAF:
                link.passes_down = False
            self._agenda.after(latency_ms, device.opened, link, attempt)

    def _begin(self, kind, outage_ms):
        self._condition = kind
        self.outages[kind] += 1
        self.outage_ms += outage_ms
        self._server.refusal = _CONNACK.get(kind, 0)
        link = self._link
        if link is None:
            return
        if kind == DEAF:
            link.passes_down = False
        elif kind == SILENT or (kind == UNREACHABLE and self._dice.hits(50)):
            # Half open: this link never comes back, also when the outage is over.
            link.passes_up = link.passes_down = False
        elif self._dice.hits(50):
            link.cut_after(1 + self._dice.below(200))  # in the middle of a packet, or at its end
            self._agenda.after(1000, link.reset)
        else:
            link.reset()

    def _end(self, end_ms):
        self._condition = CLEAR
        self._server.refusal = 0
        if self._dice.hits(15):
            self.sessions_lost += 1
            self._server.forget_sessions()
        self.plan(end_ms)
