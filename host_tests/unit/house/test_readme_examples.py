"""The README's programs, run as printed under MicroPython against a hub started as printed."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from host_tests.unit.house.constants import ROOT
from host_tests.unit.house.markdown import Paper

README = Paper(ROOT / "README.md")
MICROPYTHON = Path(sys.executable).with_name("micropython")
PRINTED_DEVICE = "6F9677XAFZ/dev01"
TIMEOUT_S = 20


@pytest.fixture
def desk(tmp_path):
    """A directory with a running hub in .hub, as `make hub` leaves it; (path, its ready note)."""
    ready = tmp_path / "ready"
    command = [sys.executable, "-m", "tools.hub", "--mqtt-port", "0", "--api-port", "0", "--quiet"]
    hub = subprocess.Popen(
        [*command, "--ready-file", ready],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline_s = time.monotonic() + TIMEOUT_S
        while not ready.exists():
            assert hub.poll() is None and time.monotonic() < deadline_s, "the hub did not start"
            time.sleep(0.02)
        yield tmp_path, json.loads(ready.read_text())
    finally:
        hub.terminate()
        hub.wait(TIMEOUT_S)


def command(desk, payload):
    """Sends the device a command, as the README does it."""
    path, _ = desk
    topic = f"{device(desk)}/control"
    subprocess.run(
        [sys.executable, "-m", "tools.hub", "publish", topic, payload],
        cwd=path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        timeout=TIMEOUT_S,
    )


def device(desk):
    fields = json.loads((desk[0] / ".hub/device.json").read_text())
    return f"{fields['product_id']}/{fields['device_name']}"


def payloads(desk):
    """What the hub recorded on the device's event topic."""
    _, ready = desk
    url = f"http://127.0.0.1:{ready['api_port']}/messages?topic={device(desk)}/event"
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        return [message["payload"] for message in json.load(answer)["messages"]]


def run(desk, program, after, payload):
    """Runs a program; once it printed `after`, sends it a command. Returns what it printed."""
    path, _ = desk
    (path / "example.py").write_text(program)
    process = subprocess.Popen(
        [MICROPYTHON, "example.py"],
        cwd=path,
        env={"MICROPYPATH": f".frozen:{ROOT / 'firmware/lib'}", "PATH": os.defpath},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if lines[-1] == after:
                command(desk, payload)
        assert process.wait(TIMEOUT_S) == 0, lines
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return lines


def test_the_three_lines_at_the_repl(desk):
    # Not marked as Python: ruff would make four lines of the three.
    (block,) = [content for _, content in README.blocks if content.startswith(">>> ")]
    printed = block.replace(PRINTED_DEVICE, device(desk)).splitlines()
    typed = [line.removeprefix(">>> ") for line in printed if line.startswith(">>> ")]
    answers = [line for line in printed if not line.startswith(">>> ")]
    assert len(typed) == 3
    assert "listen(10)" in typed[2]
    typed[2] = typed[2].replace("listen(10)", "listen(2)")
    assert run(desk, "\n".join(typed), answers[0], "on") == answers
    assert payloads(desk) == ["hello"]


@pytest.mark.parametrize("algorithm", ["hmacsha256", "hmacsha1"])
def test_the_device_example(desk, algorithm):
    device_file = desk[0] / ".hub/device.json"
    fields = json.loads(device_file.read_text())
    device_file.write_text(json.dumps({**fields, "algorithm": algorithm}))
    program = README.block("python")
    assert "sleep(5)" in program
    program = program.replace("sleep(5)", "sleep(3)")
    printed = run(desk, program, "acknowledged: 1", '{"target": 22}')
    assert printed == ["acknowledged: 1", "command: {'target': 22}"]
    assert payloads(desk) == ['{"celsius": 21.5}']
