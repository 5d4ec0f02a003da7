"""Ctrl-C in the middle of a command."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# As a terminal would, once Python runs what `make` asked for.
STOPPED = """
import os, runpy, signal, sys
import tools
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job has it ignored
sys.argv = [{module!r}]
signal.setitimer(signal.ITIMER_REAL, {after_s})
signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("module", "after_s"),
    [("tools.mip", 0.01), ("tools.mip", 0.7), ("tools.demo", 3)],
    ids=["loading", "mip", "demo"],
)
def test_ctrl_c_ends_a_command_with_one_line(tmp_path, module, after_s):
    done = subprocess.run(
        [sys.executable, "-c", STOPPED.format(module=module, after_s=after_s)],
        cwd=ROOT,
        env={"TMPDIR": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGINT  # the shell's 130
    assert done.stderr == "stopped by Ctrl-C\n"
    assert not list(tmp_path.iterdir())


def test_any_other_error_is_told_as_ever():
    code = "import tools; raise ValueError('broken')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("ValueError: broken\n")
