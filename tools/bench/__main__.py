"""`python -m tools.bench`: QoS 1 publishes per second, against mosquitto on this machine, and
bytes per second of an update, from nginx. What is required are ratios within one run; the numbers
themselves depend on the machine.

Ends with status 1 when a ratio falls short.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.bench import download, report, round_trip
from tools.bench.contestants import (
    CONTESTANTS,
    PAHO,
    SESSION,
    UMQTT,
    UMQTT_NODELAY,
    BenchError,
    Contestant,
)
from tools.bench.file_server import FileServerError
from tools.bench.mosquitto import Mosquitto, MosquittoError
from tools.bench.paho_client import PAYLOAD

WINDOW = 20
# With Nagle's algorithm the broker holds back acknowledgements, and that would be measured.
BROKER_SETTINGS = ("set_tcp_nodelay true",)
BROKER = "mosquitto with " + ", ".join(BROKER_SETTINGS)
DELAY_EACH_WAY_MS = 10
_ROUND_TRIPS = 40
DOWNLOAD_ROUNDS = 15


@dataclass
class Figures:
    """What was measured in each round, over one kind of link."""

    round_trips_s: list[float] = field(default_factory=list)
    rates_per_s: dict[Contestant, list[float]] = field(default_factory=dict)

    def ratio_to(self, other: Contestant) -> float:
        """Our asyncio client's rate to another's: the median of what the rounds say, since the
        two were measured close together in each."""
        pairs = zip(self.rates_per_s[SESSION], self.rates_per_s[other], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def ratio_to_bound(self) -> float:
        """The same to what a full window can reach at most: it moves once in a round trip."""
        pairs = zip(self.rates_per_s[SESSION], self.round_trips_s, strict=True)
        return statistics.median(ours * trip_s / WINDOW for ours, trip_s in pairs)


def ratios(loopback: Figures, delayed: Figures, update: download.Download) -> list[report.Ratio]:
    return [
        report.Ratio("loopback", UMQTT.name, loopback.ratio_to(UMQTT), 400),
        report.Ratio("loopback", UMQTT_NODELAY.name, loopback.ratio_to(UMQTT_NODELAY), 2),
        report.Ratio("loopback", PAHO.name, loopback.ratio_to(PAHO), 2),
        report.Ratio("delayed", "20 / round trip", delayed.ratio_to_bound(), 0.9),
        report.Ratio("delayed", PAHO.name, delayed.ratio_to(PAHO), 1.4),
        report.Ratio("download", "bare loop", update.ratio, 0.9),
    ]


def measure(rounds: int, scale: float, directory: Path) -> tuple[Figures, Figures]:
    """Interleaves everything in every round, so that a busy minute of the machine strikes all."""
    loopback, delayed = Figures(), Figures()
    with (
        Mosquitto(directory, ("allow_anonymous true", *BROKER_SETTINGS)) as broker,
        _delaying(broker) as delayed_port,
    ):
        for number in range(1, rounds + 1):
            for figures, port, delay in (
                (loopback, broker.port, False),
                (delayed, delayed_port, True),
            ):
                trips = max(3, int(_ROUND_TRIPS * scale))
                figures.round_trips_s.append(round_trip.measure_s(broker.host, port, trips))
                for contestant in CONTESTANTS:
                    _progress(f"round {number} of {rounds}: {contestant.name}")
                    count = contestant.delayed_count if delay else contestant.count
                    count = max(2, int(count * scale))
                    rate_per_s = contestant.rate_per_s(broker.host, port, count)
                    figures.rates_per_s.setdefault(contestant, []).append(rate_per_s)
    _progress("")
    return loopback, delayed


@contextmanager
def _delaying(broker: Mosquitto) -> Iterator[int]:
    """The port of a proxy, a process of its own, that adds the delay in each direction."""
    command = [sys.executable, "-m", "tools.faults", "--target", f"{broker.host}:{broker.port}"]
    with subprocess.Popen(
        [*command, "--delay-ms", str(DELAY_EACH_WAY_MS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as proxy:
        assert proxy.stdin is not None and proxy.stdout is not None
        try:
            address = proxy.stdout.readline()
            if not address:
                raise BenchError("the delaying proxy does not start")
            yield int(address.rpartition(":")[2])
        finally:
            proxy.stdin.close()  # ends it


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="the median of so many is told")
    parser.add_argument("--scale", type=float, default=1, help="times as many messages a round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        try:
            loopback, delayed = measure(options.rounds, options.scale, Path(directory))
            _progress("download of an update")
            update_rounds = max(1, int(DOWNLOAD_ROUNDS * min(1, options.scale)))
            update = download.measure(update_rounds, options.scale)
            _progress("")
        except (BenchError, FileServerError, MosquittoError, round_trip.RoundTripError) as error:
            print(f"bench: {error}", file=sys.stderr)
            return 2
    print(
        f"{BROKER}; window {WINDOW}, payloads of {len(PAYLOAD)} bytes,"
        f" median of {options.rounds} interleaved rounds"
    )
    report.print_rates("loopback", loopback.round_trips_s, loopback.rates_per_s)
    report.print_rates("delayed", delayed.round_trips_s, delayed.rates_per_s)
    report.print_download(update)
    found = ratios(loopback, delayed, update)
    report.print_ratios(found)
    return 0 if all(ratio.ok for ratio in found) else 1


if __name__ == "__main__":
    sys.exit(main())
