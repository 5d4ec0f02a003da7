"""`make bench` with few messages: its figures mean nothing, but it must measure everything."""

import re
import subprocess
import sys

from host_tests.conftest import requires
from host_tests.e2e.device_program import ROOT
from tools import prerequisites
from tools.bench import __main__ as bench
from tools.bench import download
from tools.bench.contestants import CONTESTANTS

pytestmark = requires("mosquitto", "nginx")

CLIENTS = [contestant.name for contestant in CONTESTANTS]


def test_prints_every_figure_and_its_verdict():
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench", "--rounds", "1", "--scale", "0.005"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    rows = [[cell.strip() for cell in re.split("[│|]", line)[1:-1]] for line in lines]
    rates = [row for row in rows if len(row) == 4]
    assert [row[0] for row in rates] == [*CLIENTS * 2, "iothub", "bare loop"]
    for row in rates:
        assert all(float(cell.replace(",", "")) > 0 for cell in row[1:]), row
    ratios = [row for row in rows if len(row) == 5]
    assert [(row[0], float(row[3])) for row in ratios] == [
        ("loopback", 400),
        ("loopback", 2),
        ("loopback", 2),
        ("delayed", 0.9),
        ("delayed", 1.4),
        ("download", 0.9),
    ]
    verdicts = [row[4] for row in ratios]
    assert set(verdicts) <= {"ok", "short"}
    assert done.returncode == ("short" in verdicts), done.stderr


def figures(round_trip_s, **rates_per_s):
    found = bench.Figures([round_trip_s])
    for name, rate_per_s in rates_per_s.items():
        found.rates_per_s[getattr(bench, name)] = [rate_per_s]
    return found


def test_a_ratio_falls_short_when_it_should():
    loopback = figures(1e-5, SESSION=800, UMQTT=2, UMQTT_NODELAY=401, PAHO=400)
    delayed = figures(0.02, SESSION=899, PAHO=600)
    update = download.Download(bare=[100, 200, 400], ours=[91, 182, 100])
    assert [ratio.ok for ratio in bench.ratios(loopback, delayed, update)] == [
        True,
        False,
        True,
        False,
        True,
        True,
    ]
    update = download.Download(bare=[100, 200, 400], ours=[89, 178, 400])
    assert not bench.ratios(loopback, delayed, update)[-1].ok


def test_says_why_it_cannot_measure(monkeypatch, capsys):
    monkeypatch.setattr(prerequisites, "find", lambda _command: None)
    monkeypatch.setattr(sys, "argv", ["bench"])
    assert bench.main() == 2
    assert "apt-get install mosquitto" in capsys.readouterr().err
