"""Journal and offline queue through power cuts at every change they make to the flash, singly and
in pairs; and that the cuts would find what they look for."""

import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"
HEAP = "8m"
TIMEOUT_S = 300
SWEEP_FACTOR = 10
# Cuts a process, on LittleFS over a flash and on files that are not written as a whole.
PROCESSES = 2
CUTS = {"littlefs": 10_000, "plain": 5_000}
# What the scenarios must have come to.
REACHED = {
    "littlefs": (
        "new", "dup", "settled, comes again", "dropped", "mark", "the offline queue is full",
        "the flash is full", "the message is larger than the whole queue",
    ),
    "plain": ("new", "dup", "settled, comes again", "dropped", "mark"),
}  # fmt: skip
# Each fault of power_broken.py, and the medium it shows on: LittleFS forgives some.
FAULTS = {
    "PromisesTooEarly": "littlefs",
    "ForgetsWhatIsTaken": "littlefs",
    "MarksTooFar": "littlefs",
    "UsesNumbersAgain": "littlefs",
    "HidesRepeats": "littlefs",
    "RemovesFirst": "littlefs",
    "AppendsToTornTails": "plain",
    "OneSlot": "plain",
    "TrustsTheNumber": "plain",
}
# A fault that takes more cuts to show has not been found.
CUTS_TO_A_FAULT = 4_000

_LAST_LINE = re.compile(r"^\w+: (\d+) cuts, (\d+) of them second ones, 0 lost$")
_REACHED = re.compile(r"^reached (\d+) (.*)$", re.M)


@dataclass
class Outcome:
    cuts: int
    pairs: int
    reached: Counter[str]


def run(script: str, *options: object, timeout_s: float = TIMEOUT_S) -> tuple[int, str]:
    """(exit status, output) of a script under MicroPython."""
    done = subprocess.run(
        [
            MICROPYTHON,
            *("-X", f"heapsize={HEAP}"),
            f"host_tests/faults/{script}.py",
            *map(str, options),
        ],
        cwd=ROOT,
        env={"MICROPYPATH": f"{ROOT}:{ROOT / 'firmware/lib'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
    )
    return done.returncode, done.stdout


def cut(medium: str, cuts: int, seed: int, timeout_s: float) -> Outcome:
    status, output = run(
        "power_cuts", "--medium", medium, "--cuts", cuts, "--seed", seed, timeout_s=timeout_s
    )
    assert status == 0, output[-4000:]
    last = _LAST_LINE.match(output.splitlines()[-1])
    assert last is not None, output[-1000:]
    reached = Counter({text: int(count) for count, text in _REACHED.findall(output)})
    return Outcome(int(last[1]), int(last[2]), reached)


def test_no_cut_loses_anything(sweep_full):
    factor = SWEEP_FACTOR if sweep_full else 1
    with ThreadPoolExecutor(PROCESSES) as pool:
        running = {
            medium: [
                pool.submit(cut, medium, cuts * factor, seed, TIMEOUT_S * factor)
                for seed in range(1, PROCESSES + 1)
            ]
            for medium, cuts in CUTS.items()
        }
        done = {medium: [f.result() for f in futures] for medium, futures in running.items()}
    for medium, outcomes in done.items():
        total = sum(outcome.cuts for outcome in outcomes)
        pairs = sum(outcome.pairs for outcome in outcomes)
        print(f"{medium}: {total} cuts, 0 lost ({pairs} of them second ones)")
        assert total >= CUTS[medium] * PROCESSES * factor
        assert pairs >= total // 10
        reached = sum((outcome.reached for outcome in outcomes), Counter[str]())
        for what in REACHED[medium]:
            assert reached[what] > 0, f"{medium}: never came to: {what}"


@pytest.mark.parametrize(("subject", "medium"), FAULTS.items())
def test_a_known_fault_is_found(subject, medium):
    status, output = run(
        "power_cuts", "--medium", medium, "--cuts", CUTS_TO_A_FAULT, "--subject", subject
    )
    assert status == 1, output
    assert "BrokenPromise" in output
    found = re.search(r"^FAILED: --seed (\d+) --first (\d+) --medium (\w+)$", output, re.M)
    assert found is not None, output
    # The printed options show it again.
    again = ("--seed", found[1], "--first", found[2], "--medium", found[3], "--cuts", 1)
    assert run("power_cuts", *again, "--subject", subject)[0] == 1


def test_every_fault_is_tried():
    status, output = run("power_cuts", "--help")
    assert status == 2
    listed = re.search(r"^subjects: (.*)$", output, re.M)
    assert listed is not None
    assert set(listed[1].split()) == {"real", *FAULTS}


def test_an_outage_wears_the_flash_little():
    status, output = run("power_wear")
    assert status == 0, output
    print(output.strip())
    found = re.search(r"each: ([\d.]+) writes, ([\d.]+) blocks erased", output)
    assert found is not None, output
    assert float(found[1]) <= 1.2
    assert float(found[2]) <= 1.2
