"""A factory reset through power cuts at changes it makes to the flash; and that they would find
what they look for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"
SCRIPT = ROOT / "host_tests/faults/power_factory.py"
FIRMWARE = ROOT / "firmware"
HEAP = "8m"
TIMEOUT_S = 300
# One in so many changes is cut at, in `make test`.
EVERY = 20
_CUTS = re.compile(r"^(\w+): (\d+) changes, (\d+) cuts$", re.M)
# What factory.py has, and what a fault makes of it.
_OVERWRITE = "    _overwrite()\n"
_FIRST = "    for name in _names("
FAULTS = {
    "nothing is overwritten": (_OVERWRITE, ""),
    "folders are not": ("_SMALL_WRITES = const(24)", "_SMALL_WRITES = 0"),
    "folders are overwritten in part": ("_SMALL_WRITES = const(24)", "_SMALL_WRITES = 9"),
    "the console opens too early": (_OVERWRITE, "    _remove(_CLOSED)\n" + _OVERWRITE),
    "the request is forgotten": (_FIRST, "    _remove(_ASKED)\n" + _FIRST),
    "the key's name is forgotten": ("paths = list(", "_remove(_CONFIGURATION)\n    paths = list("),
    "the slots are forgotten": ('not name.startswith("slots.") and', ""),
    "the registration is forgotten": ('or not name.startswith("registered.")', "or True"),
}


def run(factory: Path, every: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MICROPYTHON, "-X", f"heapsize={HEAP}", SCRIPT, "--every", str(every)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={"MICROPYPATH": f".frozen:{ROOT}:{factory}:{FIRMWARE / 'lib'}"},
    )


def test_it_comes_to_its_end_whatever_the_power_does(sweep_full):
    done = run(FIRMWARE, 1 if sweep_full else EVERY)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    told = _CUTS.findall(done.stdout)
    assert [kind for kind, _, _ in told] == ["everything", "state"]
    for kind, changes, cuts in told:
        assert int(changes) > 400
        print(f"factory reset of {kind}: {cuts} cuts in {changes} changes of the flash")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault, tmp_path):
    right, wrong = FAULTS[fault]
    text = (FIRMWARE / "factory.py").read_text()
    assert text.count(right) == 1
    (tmp_path / "factory.py").write_text(text.replace(right, wrong))
    done = run(tmp_path, EVERY)
    assert done.returncode != 0
    assert "FAULT" in done.stdout, done.stdout + done.stderr
