"""The tables that are printed."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tools.bench.contestants import Contestant
from tools.bench.download import Download


@dataclass(frozen=True)
class Ratio:
    """Our asyncio client's rate to another figure of the same run."""

    link: str
    to: str
    measured: float
    required: float

    @property
    def ok(self) -> bool:
        return self.measured >= self.required


def print_rates(
    link: str, round_trips_s: Sequence[float], rates_per_s: Mapping[Contestant, Sequence[float]]
) -> None:
    round_trip_ms = statistics.median(round_trips_s) * 1000
    table = Table(title=f"QoS 1 publishes per second, {link}: round trip {round_trip_ms:.2f} ms")
    table.add_column("client")
    for name in ("median", "least", "most"):
        table.add_column(name, justify="right")
    for contestant, rates in rates_per_s.items():
        numbers = statistics.median(rates), min(rates), max(rates)
        table.add_row(contestant.name, *(_number(value) for value in numbers))
    _console().print(table)


def print_download(found: Download) -> None:
    table = Table(title="Download of an update, MB/s: MQTT publishes every 100 ms meanwhile")
    table.add_column("by")
    for name in ("median", "least", "most"):
        table.add_column(name, justify="right")
    for by, rates in (("iothub", found.ours), ("bare loop", found.bare)):
        numbers = statistics.median(rates), min(rates), max(rates)
        table.add_row(by, *(_number(value / 1e6) for value in numbers))
    _console().print(table)


def print_ratios(ratios: Sequence[Ratio]) -> None:
    table = Table(title="iothub, asyncio, to")
    for name in ("link", "figure"):
        table.add_column(name)
    for name in ("ratio", "required", ""):
        table.add_column(name, justify="right")
    for ratio in ratios:
        verdict = "ok" if ratio.ok else "short"
        required = f"{ratio.required:g}"
        table.add_row(ratio.link, ratio.to, _number(ratio.measured), required, verdict)
    _console().print(table)


def _console() -> Console:
    # Wide enough also where the output is no terminal and has no width.
    return Console(width=90, highlight=False)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
