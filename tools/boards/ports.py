"""Which serial port the board is at, and what it means when that one does not open."""

import errno
from pathlib import Path

from serial.tools import list_ports  # type: ignore[import-untyped]

from tools.boards.errors import BoardError

_PHASE = "opening the port"
_GROUP = "Add yourself to its group: sudo usermod -a -G dialout $USER, then log in again."


def choose_port(port: str | None) -> str:
    """The port that was named, or the only USB one there is. Raises BoardError."""
    if port:
        return port
    # A computer's own serial ports have no vendor; boards and their adapters are on USB.
    found = [each for each in list_ports.comports() if each.vid is not None]
    if not found:
        hint = "Plug the board in with a cable that carries data, or name the port: PORT=..."
        raise BoardError(_PHASE, "no board was found: there is no USB serial port", hint)
    if len(found) > 1:
        listed = ", ".join(f"{each.device} ({each.description})" for each in found)
        raise BoardError(_PHASE, f"there are {len(found)} boards: {listed}", "Name one: PORT=...")
    return str(found[0].device)


def port_error(port: str, error: BaseException) -> BoardError:
    """What an exception of pyserial, esptool or mpremote about opening a port means."""
    text = str(error)
    if "://" not in port and not Path(port).exists():
        hint = "Plug the board in, and check PORT=; without PORT the only board is found."
        return BoardError(_PHASE, f"there is no {port}", hint)
    number = getattr(error, "errno", None)
    if number == errno.EACCES or "Permission denied" in text:
        return BoardError(_PHASE, f"not allowed to open {port}", _GROUP)
    if number in (errno.EBUSY, errno.EAGAIN) or "lock" in text or "busy" in text:
        hint = "Close the other program that has it open: a REPL, a monitor, an editor."
        return BoardError(_PHASE, f"{port} is busy", hint)
    first_line = next(iter(text.splitlines()), repr(error))
    return BoardError(_PHASE, f"{port}: {first_line}", "Check the port and the cable.")
