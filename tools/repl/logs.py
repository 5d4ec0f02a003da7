"""What a board prints, line by line, without disturbing it."""

import contextlib
import time
from collections.abc import Callable

import serial  # type: ignore[import-untyped]

from tools.boards.ports import port_error

READ_TIMEOUT_S = 0.2
RETRY_S = 0.5
# What has no end by then is shown as it is: a prompt, the last words before a hang.
LINE_TIMEOUT_S = 1.0
_MAX_LINE_BYTES = 4096


def follow(port: str, show: Callable[[str], None], for_s: float | None = None) -> None:
    """Shows each line until `for_s` have passed, or for ever. A board that restarts goes away and
    comes back: it is waited for. Raises BoardError when the port does not open at first."""
    end = None if for_s is None else time.monotonic() + for_s
    try:
        line = _open(port)
    except (serial.SerialException, OSError) as error:
        raise port_error(port, error) from error
    while True:
        try:
            if _read(line, show, end):
                return
        finally:
            with contextlib.suppress(OSError):  # it may be gone
                line.close()
        show("--- the board went away; waiting for it ---")
        while True:
            if end is not None and time.monotonic() >= end:
                return
            time.sleep(RETRY_S)
            try:
                line = _open(port)
                break
            except (serial.SerialException, OSError):
                continue


def _open(port: str) -> serial.Serial:
    return serial.serial_for_url(port, baudrate=115200, timeout=READ_TIMEOUT_S)


def _read(line: serial.Serial, show: Callable[[str], None], end: float | None) -> bool:
    """True when time is up, False when the board went away."""
    received, heard_s = b"", time.monotonic()
    is_there = True
    while is_there and (end is None or time.monotonic() < end):
        try:
            new = line.read(max(1, line.in_waiting))
        except (serial.SerialException, OSError):
            new, is_there = b"", False
        if new:
            heard_s = time.monotonic()
        *lines, received = (received + new).split(b"\n")
        is_waiting = is_there and time.monotonic() - heard_s < LINE_TIMEOUT_S
        if received and (not is_waiting or len(received) > _MAX_LINE_BYTES):
            lines, received = [*lines, received], b""
        for each in lines:
            show(each.rstrip(b"\r").decode("utf-8", errors="replace"))
    if received:
        show(received.decode("utf-8", errors="replace"))
    return is_there
