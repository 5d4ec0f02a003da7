"""Time over MQTT, the $sys topics: document "NTP 服务" and PROTOCOL section 8. Pure: the caller
sends and receives, and hands in ticks.

    idle --request()--> asked --answer in time--> idle
                        asked --expire()--------> idle
"""

import json

from iothub.timeouts import TIME_ANSWER_MS

REQUEST_FAMILY = b"$sys/operation"
ANSWER_FAMILY = b"$sys/operation/result"

_REQUEST = b'{"type":"get","resource":["time"]}'
# Answers outside 2020 to 2100 are a broken server's, or not answers at all.
_EARLIEST_MS = 1577836800000
_LATEST_MS = 4102444800000


class Ntp:
    """One request at a time, since answers carry no mark of what they answer. `ticks_diff` is the
    port's. `late`, `unasked` and `absurd` count the answers that were not believed."""

    def __init__(self, ticks_diff):
        self._ticks_diff = ticks_diff
        self._asked = False
        self._asked_ticks = 0
        self.round_trip_ms = None
        self.late = 0
        self.unasked = 0
        self.absurd = 0

    def request(self, ticks):
        """The payload to publish now. An earlier request without answer is forgotten."""
        self._asked = True
        self._asked_ticks = ticks
        return _REQUEST

    @property
    def asked(self):
        return self._asked

    def expire(self):
        """The answer did not come; should it still, it counts as unasked."""
        self._asked = False

    def answer(self, payload, ticks):
        """The Unix time in milliseconds at `ticks`, from an answer (bytes), right to half of
        `round_trip_ms`; or None for a message that is not to be believed or not a time at all."""
        times = self._times(payload)
        if times is None:
            return None
        if not self._asked:
            self.unasked += 1
            return None
        elapsed_ms = self._ticks_diff(ticks, self._asked_ticks)
        if not 0 <= elapsed_ms <= TIME_ANSWER_MS:
            self._asked = False
            self.late += 1
            return None
        received_ms, sent_ms = times
        # The server cannot have held the request for longer than we waited.
        if not 0 <= sent_ms - received_ms <= elapsed_ms or not _plausible(received_ms):
            self.absurd += 1
            return None
        self._asked = False
        self.round_trip_ms = elapsed_ms
        return (received_ms + sent_ms + elapsed_ms) // 2

    def _times(self, payload):
        """(ntptime1, ntptime2) of an answer; None when it is not one."""
        try:
            message = json.loads(payload)
            if message["type"] != "get":
                return None
            if "ntptime1" in message:
                received_ms = message["ntptime1"]
                sent_ms = message["ntptime2"]
                if type(received_ms) is int and type(sent_ms) is int:
                    return received_ms, sent_ms
            else:  # the SDKs allow for a server that says seconds only
                time_s = message["time"]
                if type(time_s) is int:  # or 1000 times a long text would eat the heap
                    return time_s * 1000, time_s * 1000
        except (ValueError, KeyError, TypeError, RuntimeError):  # the last: nested too deeply
            pass
        self.absurd += 1
        return None


def _plausible(unix_ms):
    return _EARLIEST_MS <= unix_ms < _LATEST_MS
