"""`make repl` and `make logs` at a board made of the Unix port."""

import contextlib
import re
import subprocess
import sys
import threading
import time

import pytest
import serial  # type: ignore[import-untyped]
from mpremote.transport import TransportError  # type: ignore[import-untyped]

from host_tests.target.desk_board import ROOT, DeskBoard
from host_tests.target.person import EXIT, person_at
from tools.boards.errors import BoardError
from tools.repl import __main__ as repl
from tools.repl.board import RunningBoard, interrupt
from tools.repl.logs import follow
from tools.repl.names import readable

TIMEOUT_S = 20.0


def test_a_person_types_at_the_prompt_and_leaves(tmp_path):
    with DeskBoard(tmp_path) as desk:
        command = [sys.executable, "-m", "tools.repl", "repl", "--port", desk.port]
        with person_at(command, TIMEOUT_S) as person:
            person.sees(b"to exit this shell")
            person.types(b"print(6 * 7)\r")
            person.sees(b"\n42")
            person.types(EXIT)
            assert person.sees_it_end() == 0


class Seen(Exception):
    """What was waited for has come."""


def test_logs_show_lines_as_they_come_and_wait_for_a_board_that_restarts(tmp_path):
    with DeskBoard(tmp_path) as desk:
        with RunningBoard.opened(desk.port) as board:
            board.write("/main.py", b"for i in range(3): print('line', i, '\\u6e29')\n")
        lines: list[str] = []

        def show(line: str) -> None:
            lines.append(line)
            if "line 2" in line:
                raise Seen

        def watch() -> None:
            with contextlib.suppress(Seen):
                follow(desk.port, show, TIMEOUT_S)

        following = threading.Thread(target=watch)
        following.start()
        time.sleep(0.5)
        desk.restart()
        following.join(TIMEOUT_S)
        # The first may follow the prompt that was there before.
        assert [line.removeprefix(">>> ") for line in lines if "line" in line] == [
            "line 0 温",
            "line 1 温",
            "line 2 温",
        ]


def test_logs_show_what_has_no_end_and_take_no_error_of_theirs_for_the_boards(tmp_path):
    with DeskBoard(tmp_path) as desk:
        with RunningBoard.opened(desk.port) as board:
            board.write("/main.py", b"import time\nprint('hung', end='')\ntime.sleep(20)\n")
        command = [sys.executable, "-m", "tools.repl", "logs", "--port", desk.port]
        logs = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert logs.stdout is not None and logs.stderr is not None
        try:
            assert "Ctrl-C leaves" in logs.stderr.readline()
            time.sleep(0.5)
            desk.restart()
            while not (line := logs.stdout.readline()).endswith("hung\n"):
                assert line, "it ended"
            logs.stdout.close()  # as `head` does
            desk.restart()
            assert logs.stderr.read() == ""
            assert logs.wait(TIMEOUT_S) == 0
        finally:
            logs.kill()
            logs.stderr.close()
            logs.wait()


def test_the_command_stamps_its_lines(tmp_path, capsys):
    with DeskBoard(tmp_path) as desk:
        done = threading.Event()

        def restart_again_and_again() -> None:
            while not done.wait(0.5):
                desk.restart()

        restarting = threading.Thread(target=restart_again_and_again)
        restarting.start()
        assert repl.main(["logs", "--port", desk.port, "--seconds", "1.5"]) == 0
        done.set()
        restarting.join(TIMEOUT_S)
    told = capsys.readouterr().out
    assert re.search(r'^\d\d:\d\d:\d\d\.\d{3} Type "help\(\)" for more', told, re.MULTILINE)


@pytest.mark.parametrize("command", ["repl", "logs"])
def test_no_board_and_a_busy_one_are_told(tmp_path, capsys, command):
    assert repl.main([command, "--port", str(tmp_path / "tty")]) == 1
    assert f"{command}: opening the port: there is no" in capsys.readouterr().err


def test_a_prompt_needs_a_serial_port(capsys):
    assert repl.main(["repl", "--port", "socket://127.0.0.1:9"]) == 1
    told = capsys.readouterr().err
    assert "a prompt needs a serial port" in told and "socat" in told


def test_a_busy_port_and_one_without_a_repl_are_told(tmp_path, monkeypatch):
    with DeskBoard(tmp_path) as desk:
        with (
            serial.Serial(desk.port, exclusive=True),
            pytest.raises(BoardError, match="is busy"),
            RunningBoard.opened(desk.port),
        ):
            pytest.fail("it opened")
        desk.cut_power()
        for name in ("REPL_TIMEOUT_S", "READ_TIMEOUT_S"):
            monkeypatch.setattr(f"tools.repl.board.{name}", 0.3)
        with (
            pytest.raises(BoardError, match=r"no REPL answers at .*\n.*make flash"),
            RunningBoard.opened(desk.port),
        ):
            pytest.fail("it answered")


class DeafOnce:
    """A transport to a board on which a timer's function took the first Ctrl-C: no test can time
    that on a real one."""

    is_pty = True
    asked = 0

    def enter_raw_repl(self, soft_reset: bool, timeout_overall: float) -> None:
        assert not soft_reset and timeout_overall > 0
        assert not self.is_pty  # or mpremote would not look at its deadline
        self.asked += 1
        if self.asked == 1:
            raise TransportError("could not enter raw repl")


def test_a_board_that_passes_over_a_ctrl_c_gets_another():
    transport = DeafOnce()
    interrupt(transport)
    assert transport.asked == 2 and transport.is_pty


def test_an_old_micropython_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.repl.board.OLDEST_MICROPYTHON", "1.99.0")
    with (
        DeskBoard(tmp_path) as desk,
        pytest.raises(BoardError, match=r"MicroPython 1\.\d+\.\d+ is too old"),
        RunningBoard.opened(desk.port),
    ):
        pytest.fail("it was taken")


def test_an_error_on_the_board_is_told_by_its_last_line(tmp_path):
    with (
        DeskBoard(tmp_path) as desk,
        RunningBoard.opened(desk.port) as board,
        pytest.raises(BoardError, match="the board says ZeroDivisionError: divide by zero"),
    ):
        board.exec("1 / 0")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            '  File "session", line 1, in xy',
            '  File "session", line 1, in xy (_connection)',
        ),
        ('  File "main.py", line 1, in xy', '  File "main.py", line 1, in xy'),
        (
            "AttributeError: 'Ab' object has no attribute 'q'",
            "AttributeError: 'Ab' (Session) object has no attribute 'q'",
        ),
        ("reading 'xy' of 20", "reading 'xy' of 20"),
    ],
    ids=["place", "place-of-yours", "error", "print"],
)
def test_short_names_in_tracebacks_become_readable(line, told):
    assert readable(line, {"_connection": "xy", "Session": "Ab"}) == told
