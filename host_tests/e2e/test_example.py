"""`make example`: each program of firmware/examples against a hub that a person started, with the
commands that it says to try."""

import contextlib
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.demo.props import EXAMPLES, names
from tools.example import NotPossible, prepared
from tools.hub import cli as hub_cli

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 30.0
# What each says in the end; where a command made it say so, the last of those that it names.
SAYS = {
    "broadcast": r"^broadcast: hello$",
    "coap_publish": r"^published 21\.6$",
    "deep_sleep": r"^asleep for 900 s$",
    "gateway": r"^for the meter: on$",
    "http_publish": r"^request ",
    "logs": r"^log uploaded, 0 lines dropped$",
    "register": r"^online as ",
    "remote_config": r"^configuration: \{'interval_s': 60\}$",
    "rrpc": r"^called: blink$",
    "shadow": r"^brightness 70$",
    "update": r"^version 1\.1$",
}
MAX_EXAMPLE_LINES = 40


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Iterator[Path]:
    """The data directory of a running hub."""
    data = tmp_path_factory.mktemp("hub") / ".hub"
    ready = data.with_name("ready.json")
    options = ["--mqtt-port", "0", "--api-port", "0", "--quiet"]
    files = ["--data", str(data), "--ready-file", str(ready)]
    command = [sys.executable, "-m", "tools.hub", *options, *files]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as hub:
        try:
            give_up_s = time.monotonic() + TIMEOUT_S
            while not ready.exists():
                assert hub.poll() is None and time.monotonic() < give_up_s
                time.sleep(0.02)
            yield data
        finally:
            hub.terminate()


class Running:
    """`lines` is what it printed so far."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.lines: list[str] = []
        self._process = process
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def said(self, pattern: str) -> bool:
        return any(re.search(pattern, line) for line in self.lines)

    def stopped(self) -> int:
        """By Ctrl-C; its status."""
        self._process.send_signal(signal.SIGINT)
        status = self._process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        return status

    @property
    def commands(self) -> list[str]:
        """Those it says to try, as a shell reads them."""
        found = [re.search(r"make hub (ARGS=.*)$", line) for line in self.lines]
        return [shlex.split(each[1])[0].removeprefix("ARGS=") for each in found if each]


@contextlib.contextmanager
def example(name: str, data: Path) -> Iterator[Running]:
    command = [sys.executable, "-m", "tools.example", name, "--data", str(data)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def test_every_example_is_run_here():
    assert set(SAYS) == set(names())


@pytest.mark.parametrize("name", SAYS)
def test_an_example_does_what_it_says(name, data, capsys):
    with example(name, data) as running:
        give_up_s = time.monotonic() + TIMEOUT_S
        while not running.said(SAYS[name]):
            assert time.monotonic() < give_up_s, running.lines
            time.sleep(0.2)
            for text in running.commands:
                # Refused until the device is online.
                with contextlib.suppress(SystemExit):
                    hub_cli.main([*shlex.split(text), "--data", str(data)])
        assert running.commands, "it says nothing to try"
        for text in running.commands:
            capsys.readouterr()
            assert hub_cli.main([*shlex.split(text), "--data", str(data)]) == 0, text
            assert capsys.readouterr().out.strip(), f"{text} shows nothing"


def test_the_second_time_it_is_the_same_device(data):
    folder = data / "examples/http_publish"
    identities = []
    for _ in range(2):
        with example("http_publish", data) as running:
            give_up_s = time.monotonic() + TIMEOUT_S
            while not running.said("^request "):
                assert time.monotonic() < give_up_s, running.lines
                time.sleep(0.05)
        fields = json.loads((folder / "device.json").read_text())
        identities.append((fields["product_id"], fields["device_secret"]))
    assert identities[0] == identities[1]
    assert (folder / "device.json").stat().st_mode & 0o077 == 0
    assert not any(fields["device_secret"] in line for line in running.lines)


def test_it_is_made_anew_where_its_folder_is_gone_and_told_where_it_is_damaged(data):
    folder, _ = prepared("rrpc", data)
    shutil.rmtree(folder)  # or never written: stopped behind the hub's answer
    prepared("rrpc", data)
    (folder / "tries.txt").unlink()
    assert prepared("rrpc", data)[1]
    (folder / "device.json").write_text("{")
    with pytest.raises(NotPossible, match=f"cannot be read: remove {folder}"):
        prepared("rrpc", data)


def test_ctrl_c_ends_it_without_a_traceback(data):
    with example("shadow", data) as running:
        give_up_s = time.monotonic() + TIMEOUT_S
        while not running.said("^reported "):
            assert time.monotonic() < give_up_s, running.lines
            time.sleep(0.05)
        assert running.stopped() == 0
    assert not running.said("Traceback|KeyboardInterrupt")


def test_without_a_hub_it_says_what_to_start(tmp_path):
    def says() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "tools.example", "shadow", "--data", tmp_path],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 2 and "Traceback" not in done.stderr
        return done.stdout

    assert "start a hub in another terminal: make hub" in says()
    # One that was killed leaves its note.
    (tmp_path / "running.json").write_text('{"api_port": 1}')
    (tmp_path / "device.json").write_text("{}")
    assert "no hub answers; start a hub" in says()


def test_the_command_runs_it():
    shown = subprocess.run(
        ["make", "--dry-run", "example", "NAME=shadow"], cwd=ROOT, capture_output=True, text=True
    )
    assert "-m tools.example shadow" in shown.stdout


@pytest.mark.parametrize("name", names())
def test_an_example_is_short_and_says_what_it_is(name):
    text = (EXAMPLES / f"{name}.py").read_text()
    assert len(text.splitlines()) <= MAX_EXAMPLE_LINES
    assert text.startswith('"""')
