"""Whether a request is of now, and new. Off unless it is asked for.

The documents set no window, and the vendor's C SDK always registers with a timestamp of 2021. So a
hub takes any, unless it is started with `--http-max-skew-s`: then timestamps off by more are
refused, and so is a request that was here before.
"""

from collections import OrderedDict

from tools.hub.clock import HubClock
from tools.hub.device_http.refused import Refused
from tools.hub.device_http.signature import Signature

MAX_REMEMBERED = 10_000


class Freshness:
    """Remembers who sent which nonce with which timestamp; the oldest go first."""

    def __init__(self, clock: HubClock, max_skew_s: int | None) -> None:
        self._clock = clock
        self._max_skew_s = max_skew_s
        self._seen: OrderedDict[tuple[str, int, int], None] = OrderedDict()

    def check(self, signature: Signature, sender: str) -> None:
        """Raises Refused. Only for what is signed rightly: a stranger must not fill the memory."""
        if self._max_skew_s is None:
            return
        off_s = signature.timestamp_s - self._clock.now_s()
        if abs(off_s) > self._max_skew_s:
            raise Refused(
                "AuthFailure.SignatureExpire",
                f"X-TC-Timestamp is {off_s:+d} s off the hub's time; it may be {self._max_skew_s}",
            )
        key = (sender, signature.timestamp_s, signature.nonce)
        if key in self._seen:
            raise Refused(
                "AuthFailure.SignatureExpire",
                "a request with this timestamp and nonce was here before",
            )
        self._seen[key] = None
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
