"""`make demo`, as a person runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.demo import __main__ as demo
from tools.demo import chapters, services, story
from tools.demo.props import names

ROOT = Path(__file__).resolve().parents[2]


def test_the_whole_story_ends_with_ok_in_half_a_minute():
    done = subprocess.run(
        [sys.executable, "-m", "tools.demo"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.rstrip().splitlines()[-1]
    assert last.startswith("demo: ok (")
    assert float(last.split("(")[1].split(" ")[0]) < 30
    for name in chapters.CHAPTERS:
        assert f"[{name}]" in done.stdout
    assert done.stdout.count("✓") == len(chapters.CHAPTERS)


def test_every_service_has_its_chapter_and_all_end_in_time():
    done = subprocess.run(
        [sys.executable, "-m", "tools.demo", "--chapter", "all"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seconds = float(re.findall(r"demo: ok \((.*) s\)", done.stdout)[0])
    assert seconds < 180
    for name in demo.EVERY_CHAPTER:
        assert f"[{name}]" in done.stdout
    assert done.stdout.count("✓") == len(demo.EVERY_CHAPTER)
    # One version that is rolled out does not work, on purpose.
    raised = re.findall(r"^(.*)Traceback", done.stdout, re.MULTILINE)
    assert raised == ["   update | "] * 3
    played = set(re.findall(r"^   (\w+) \| ", done.stdout, re.MULTILINE))
    assert set(names()) <= played, "an example without a chapter"
    print(f"all chapters: {seconds:.0f} s")


def test_one_chapter_alone(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["demo", "--chapter", "command"])
    assert demo.main() == 0
    printed = capsys.readouterr().out
    assert printed.count("✓") == 1
    assert "[command]" in printed


@pytest.mark.parametrize("transport", ["tls", "psk", "ws", "wss"])
@pytest.mark.parametrize("chapter", ["outage", "refused"])
def test_the_other_ways_in(capsys, monkeypatch, transport, chapter):
    arguments = ["demo", "--transport", transport, "--chapter", chapter]
    monkeypatch.setattr(sys, "argv", arguments)
    assert demo.main() == 0, capsys.readouterr().out
    assert f"({transport})" in capsys.readouterr().out


@pytest.mark.sweep
@pytest.mark.parametrize("transport", ["tls", "psk", "ws", "wss"])
def test_the_whole_story_by_every_way_in(transport):
    done = subprocess.run(
        [sys.executable, "-m", "tools.demo", "--transport", transport, "--chapter", "all"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("chapter", "name", "value", "reason"),
    [
        # What the chapter expects is shifted, so that hub and device no longer agree with it.
        ("clock", "HUB_OFFSET_S", 7200, "ahead of this computer"),
        ("clock", "_MAX_CLOCK_ERROR_MS", -1, "off the hub's"),
    ],
)
def test_a_mismatch_ends_it_with_status_1_and_the_reason(
    capsys, monkeypatch, chapter, name, value, reason
):
    monkeypatch.setattr(sys, "argv", ["demo", "--chapter", chapter])
    monkeypatch.setattr(chapters, name, value)
    assert demo.main() == 1
    assert reason in capsys.readouterr().out.splitlines()[-1]


def test_a_service_that_does_not_agree_with_the_hub_ends_it_too(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["demo", "--chapter", "shadow"])
    monkeypatch.setattr(story, "_AGREE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(services, "_reported", lambda _: {"reported": {"brightness": 71}})
    assert demo.main() == 1
    assert "the hub has {'reported': {'brightness': 70}}" in capsys.readouterr().out
