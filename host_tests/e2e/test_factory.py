"""factory.py at a start under MicroPython: when it resets nothing. What a reset does is in
host_tests/faults/test_power_factory.py, and on the emulated board in
host_tests/target/test_production.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = Path(sys.executable).parent / "micropython"
TIMEOUT_S = 20
START = """
import json, sys
levels = {levels}
asked = []


class Pin:
    IN, PULL_UP = "in", "pull-up"

    def __init__(self, *how):
        asked.append(how)

    def value(self):
        return levels.pop(0)


class machine:
    pass


machine.Pin = Pin
sys.modules["machine"] = machine
import factory
factory.begin()
print(json.dumps([asked, levels]))
"""


def start(folder: Path, levels: list[int]) -> list[list[object]]:
    """What it asked of pins, and the levels it did not look at."""
    done = subprocess.run(
        [MICROPYTHON, "-c", START.format(levels=levels)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=folder,
        env={"MICROPYPATH": f".frozen:{ROOT / 'firmware'}"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told: list[list[object]] = json.loads(done.stdout)
    return told


def board(folder: Path, closed: str | None) -> dict[str, str]:
    files = {"device.json": "{}", "state/queue": "a message"}
    if closed is not None:
        files["closed.json"] = closed
    for path, content in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content)
    return files


def found(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("levels", "left"), [([1, 0], [0]), ([0, 0, 1, 0], [0])], ids=["up", "let go of"]
)
def test_a_pin_that_is_not_held_long_enough_resets_nothing(tmp_path, levels, left):
    files = board(tmp_path, '{"reset_pin": 22}')
    assert start(tmp_path, levels) == [[[22, "in", "pull-up"]], left]
    assert found(tmp_path) == files


@pytest.mark.parametrize(
    "closed",
    [None, "{}", "", "{", "[]", '{"reset_pin"'],
    ids=["open", "no", "", "cut", "list", "x"],
)
def test_without_a_pin_none_is_looked_at(tmp_path, closed):
    files = board(tmp_path, closed)
    assert start(tmp_path, [0]) == [[], [0]]
    assert found(tmp_path) == files
