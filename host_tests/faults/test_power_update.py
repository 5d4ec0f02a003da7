"""Updates through power cuts at every change they make to the flash, singly and in pairs: what
starts is the old version or the new one, and the update comes to its end. And that the cuts would
find what they look for."""

import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"
MICROPYPATH = f"{ROOT}:{ROOT / 'firmware/lib'}:{ROOT / 'firmware'}"
HEAP = "64m"
TIMEOUT_S = 900
SWEEP_TIMEOUT_S = 6000
PROCESSES = 2
CUTS = 20_000
SWEEP_CUTS = 200_000
# What the scenarios must have come to.
REACHED = ("from the beginning", "resumed", "trial", "new", "rolled back")

_LAST_LINE = re.compile(r"^[\w-]+: (\d+) cuts, (\d+) of them second, 0 bricked$")
_REACHED = re.compile(r"^reached (\d+) (.*)$", re.M)


def job(
    scenario: str, every: int = 1, pairs: int = 0, first: int = 0, seed: int = 1
) -> tuple[object, ...]:
    """The options of power_update.py. Another seed tears other bits."""
    numbers = {"--every": every, "--pairs": pairs, "--first": first, "--seed": seed}
    return ("--scenario", scenario, *(word for pair in numbers.items() for word in pair))


# Every pair of cuts of six blocks; every cut of a whole bundle, and pairs of some; every 16th of
# an ESP32's whole application.
JOBS = [
    job("small-bundle", every=2, first=0, pairs=1),
    job("small-bundle", every=2, first=1, pairs=1),
    job("small-application", pairs=1),
    job("application", every=16),
    job("bundle", pairs=100),
    job("small-bundle-by-page"),
    job("bad-bundle", pairs=40),
    job("bad-application", pairs=1),
]
# Every cut of the whole application too, pairs on all, and each page of a write by itself.
SWEEP_JOBS = [
    *JOBS[:3],
    *(
        job("small-bundle", every=2, first=first, pairs=1, seed=seed)
        for first in (0, 1)
        for seed in (2, 3)
    ),
    *(job("small-bundle-by-page", every=4, first=first, pairs=1) for first in range(4)),
    *(job("application", every=2, first=first) for first in (0, 1)),
    job("application", every=300, first=150, pairs=1),
    job("bundle", pairs=3),
    job("bad-bundle", pairs=1),
    JOBS[-1],
]
# Each fault of power_update_broken.py, and a scenario that shows it.
FAULTS = {
    "UnpacksOverTheRunning": "small-bundle",
    "RemovesTheOldFirst": "small-bundle",
    "NeverErases": "small-application",
    "BootsBeforeItIsWritten": "small-application",
    "SwitchesUnnoted": "small-application",
    "ForgetsTries": "bad-bundle",
    "ConfirmsOnSight": "bad-application",
    "ForgetsTheFloor": "small-bundle",
}


@dataclass
class Outcome:
    cuts: int = 0
    pairs: int = 0
    reached: Counter[str] = field(default_factory=Counter)


def run(*options: object, timeout_s: float = TIMEOUT_S) -> tuple[int, str]:
    """(exit status, output) of power_update.py under MicroPython."""
    done = subprocess.run(
        [
            MICROPYTHON,
            *("-X", f"heapsize={HEAP}"),
            "host_tests/faults/power_update.py",
            *map(str, options),
        ],
        cwd=ROOT,
        env={"MICROPYPATH": MICROPYPATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
    )
    return done.returncode, done.stdout


def cut(options: tuple[object, ...], timeout_s: float) -> Outcome:
    status, output = run(*options, timeout_s=timeout_s)
    assert status == 0, output[-4000:]
    last = _LAST_LINE.match(output.splitlines()[-1])
    assert last is not None, output[-1000:]
    reached = Counter({text: int(count) for count, text in _REACHED.findall(output)})
    return Outcome(int(last[1]), int(last[2]), reached)


def test_no_cut_bricks_a_device(sweep_full):
    jobs = SWEEP_JOBS if sweep_full else JOBS
    timeout_s = SWEEP_TIMEOUT_S if sweep_full else TIMEOUT_S
    total = Outcome()
    with ThreadPoolExecutor(PROCESSES) as pool:
        for outcome in pool.map(lambda options: cut(options, timeout_s), jobs):
            total.cuts += outcome.cuts
            total.pairs += outcome.pairs
            total.reached += outcome.reached
    print(f"{total.cuts} cuts, 0 bricked ({total.pairs} of them second ones)")
    assert total.cuts >= (SWEEP_CUTS if sweep_full else CUTS)
    for what in REACHED:
        assert total.reached[what] > 0, f"never came to: {what}"


@pytest.mark.parametrize(("subject", "scenario"), FAULTS.items())
def test_a_known_fault_is_found(subject, scenario):
    status, output = run("--scenario", scenario, "--subject", subject)
    assert status == 1, output
    assert "Bricked" in output, output


def test_every_fault_is_tried():
    status, output = run("--help")
    assert status == 2
    listed = re.search(r"^subjects: (.*)$", output, re.M)
    assert listed is not None
    assert set(listed[1].split()) == {"real", *FAULTS}
