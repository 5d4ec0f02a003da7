"""`make sign`'s program, against the vectors and against the hub's own signature check."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from tools.hub import login

ROOT = Path(__file__).resolve().parents[3]
SECRET = "lDZ6Uqt+I9E0wW7rvDUs7Q=="


def run(*arguments: str, secret: str = SECRET):
    return subprocess.run(
        [sys.executable, "-m", "tools.sign", *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": "firmware/lib"},
        input=secret + "\n",
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_prints_what_the_documents_tool_prints():
    done = run("PRODUCTID1", "dev01", "--secret-file", "-", "--connection-id", "abcde")
    lines = dict(line.split(": ") for line in done.stdout.splitlines())
    assert lines["clientid"] == "PRODUCTID1dev01"
    assert lines["username"] == "PRODUCTID1dev01;12010126;abcde;253402300799"
    # The hub's check is an implementation of its own.
    token = login.sign(SECRET, lines["username"], hashlib.sha256).decode()
    assert lines["password"] == token + ";hmacsha256"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--valid-for", "0"),
        ("--valid-for", "-5"),
        ("--valid-for", "9" * 20),
        ("--valid-for", "soon"),
        ("--connection-id", "a;b"),
        ("--connection-id", ""),
        ("--app-id", "\u4e2d"),
    ],
)
def test_a_login_that_no_server_takes_is_not_printed(option, value):
    done = run("PRODUCTID1", "dev01", "--secret-file", "-", f"{option}={value}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"argument {option}: " in done.stderr and "Traceback" not in done.stderr


def test_a_secret_from_a_file(tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    from_file = run("P", "d", "--secret-file", str(tmp_path / "secret"), "--connection-id", "a")
    from_input = run("P", "d", "--secret-file", "-", "--connection-id", "a")
    assert from_file.stdout == from_input.stdout != ""


def test_a_wrong_secret_is_told_without_showing_it():
    done = run("PRODUCTID1", "dev01", "--secret-file", "-", secret="not base64!")
    assert done.returncode == 2
    assert "device_secret" in done.stderr
    assert "not base64!" not in done.stderr + done.stdout


def test_a_missing_file_is_told():
    done = run("PRODUCTID1", "dev01", "--secret-file", "/nonexistent/secret")
    assert done.returncode == 2
    assert "/nonexistent/secret" in done.stderr
