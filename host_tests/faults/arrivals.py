"""How a fleet comes back after its server was gone for a while, and how it is supposed to.

Full jitter makes a device wait a random time below a ceiling that doubles up to LAST_S. So a fleet
that was shut out for T seconds comes back about as spread as it was shut out, and in the long run
with 2 / LAST_S of its devices in the first second, fewer later and none after LAST_S.
"""

from collections import Counter
from dataclasses import dataclass

from iothub.timeouts import BACKOFF_LAST_MS

LAST_S = BACKOFF_LAST_MS / 1000
# Beside the random wait: connecting and logging in.
LOGIN_S = 1.0
# The ideal is 2 / LAST_S = 3.3 %; of 1,000 devices 4.5 standard deviations more are 6 %.
MAX_SHARE = 0.06
# Kolmogorov and Smirnov: 1,000 samples differ more from their law once in a thousand times.
MAX_DISTANCE = 0.062


@dataclass(frozen=True)
class Arrivals:
    """`at_s`: when each device was back, in seconds after the server was. The waits, `outage_s`
    among them, may all be a fraction, `scale`, of the real ones."""

    outage_s: float
    at_s: list[float]
    scale: float = 1.0

    @property
    def largest_share(self) -> float:
        """Of the fleet, in the fullest second."""
        seconds = Counter(int(at_s / self.scale) for at_s in self.at_s)
        return max(seconds.values()) / len(self.at_s)

    @property
    def last_s(self) -> float:
        return max(self.at_s) / self.scale

    @property
    def share_bound(self) -> float:
        """What one second may get at most."""
        return max(2 * self.scale / self.outage_s, MAX_SHARE)

    def distance_to_law(self) -> float:
        """The largest difference between the share that is back and the one that should be, after
        an outage so long that all ceilings are LAST_S."""
        ordered = sorted(at_s / self.scale for at_s in self.at_s)
        count = len(ordered)
        return max(
            max(abs(i / count - _law(at_s)), abs((i + 1) / count - _law(at_s)))
            for i, at_s in enumerate(ordered)
        )

    def check(self) -> None:
        """Raises AssertionError."""
        assert self.largest_share <= self.share_bound, str(self)
        assert self.last_s <= LAST_S + LOGIN_S / self.scale, str(self)

    def __str__(self) -> str:
        return (
            f"outage {self.outage_s / self.scale:.1f} s: {len(self.at_s)} devices back, "
            f"{self.largest_share:.1%} in the fullest second (bound {self.share_bound:.1%}), "
            f"half after {sorted(self.at_s)[len(self.at_s) // 2] / self.scale:.1f} s, "
            f"all after {self.last_s:.1f} s"
        )


def _law(at_s: float) -> float:
    """The share of a fleet that is back: what is left of a wait drawn evenly from 0 to LAST_S,
    seen at any moment of it."""
    part = min(at_s / LAST_S, 1.0)
    return 2 * part - part * part
