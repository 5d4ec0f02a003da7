"""A simulated month of outages: every message that was accepted is acknowledged in the end, or was
told to have made room, and the heap does not grow; the same under both interpreters. And that a
month would bring faults to light."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from host_tests.faults.virtual_broken import SUBJECTS

ROOT = Path(__file__).resolve().parents[2]
PATH = f"{ROOT}:{ROOT / 'firmware/lib'}"
INTERPRETERS = {
    "CPython": [sys.executable],
    "MicroPython": [str(Path(sys.executable).parent / "micropython"), "-X", "heapsize=1m"],
}
QUEUES = ("ram", "flash")
DAYS = 31
# Lists and dicts are a little longer on one evening than on another, and the collector, which
# takes every number that looks like one for an address, may spare a buffer or two. What leaks
# with every connection or message exceeds this in days: there are 20 connections and 1400
# messages a day.
MAX_GROWTH_BYTES = 4096
KNOWN_BAD_DAYS = 5
SWEEP_SEEDS = 10
TIMEOUT_S = 300

Totals = dict[str, str]


def run(interpreter: str, *options: object) -> tuple[int, str]:
    """(exit status, output) of a virtual month."""
    done = subprocess.run(
        [*INTERPRETERS[interpreter], "host_tests/faults/virtual_month.py", *map(str, options)],
        cwd=ROOT,
        env={"PYTHONPATH": PATH, "MICROPYPATH": PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
    )
    return done.returncode, done.stdout


def month(interpreter: str, queue: str, seed: int) -> Totals:
    status, output = run(interpreter, "--queue", queue, "--seed", seed, "--days", DAYS)
    assert status == 0, f"{interpreter}, seed {seed}: {output[-2000:]}"
    found = re.search(r"^month: (.*)$", output, re.M)
    assert found is not None, output[-2000:]
    totals = dict(pair.split("=") for pair in found[1].split())
    print(f"{queue}, seed {seed}, {interpreter}:", found[1])
    if interpreter == "MicroPython":
        assert output.count("heap_bytes=") == DAYS
        assert int(totals.pop("growth_bytes")) <= MAX_GROWTH_BYTES
    else:
        del totals["growth_bytes"]
    return totals


@pytest.mark.parametrize("queue", QUEUES)
def test_a_month_of_outages(queue, sweep_full):
    seeds = range(1, SWEEP_SEEDS + 1 if sweep_full else 2)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [
            [pool.submit(month, interpreter, queue, seed) for interpreter in INTERPRETERS]
            for seed in seeds
        ]
        for pair in running:
            totals, others = (future.result() for future in pair)
            assert totals == others, "the interpreters disagree"
            assert totals.pop("digest")
            check_reach(queue, {name: int(text) for name, text in totals.items()})


def check_reach(queue: str, totals: dict[str, int]) -> None:
    """It was a month worth its name."""
    for name, least in {"outages": 400, "sessions_lost": 50, "messages": 40_000}.items():
        assert totals[name] >= least, name
    for name in ("duplicates", "forgotten", "obeyed"):
        assert totals[name] > 0, name
    assert totals["dropped" if queue == "ram" else "refused"] > 0
    assert (totals["resets"] > 0) == (queue == "flash")


@pytest.mark.parametrize("subject", [name for name in SUBJECTS if name != "real"])
def test_a_known_fault_is_found(subject):
    status, output = run("MicroPython", "--days", KNOWN_BAD_DAYS, "--subject", subject)
    if SUBJECTS[subject].leaks:
        grown = re.search(r"growth_bytes=(\d+)", output)
        assert status == 0 and grown is not None, output
        assert int(grown[1]) > MAX_GROWTH_BYTES
    else:
        assert status == 1 and "FAILED: " in output, output
