"""The profile of a product: its console is closed, by the last thing that comes over a cable."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from tools.boards.errors import BoardError
from tools.deploy.starters import starters
from tools.repl.board import RunningBoard

CLOSED = "/closed.json"
DEVELOPMENT, PRODUCTION = "development", "production"
MAX_PIN = 48  # of an ESP32-S3, which has most
_PHASE = "closing the console"
_PIN_LEVEL = """
from machine import Pin
from time import sleep_ms
try:
    _pin = Pin({pin}, Pin.IN, Pin.PULL_UP)
    sleep_ms(1)
    print(_pin.value())
except ValueError:
    print("none")
"""
_CONFIGURATION = "/device.json"
_KEYS = "/slots/keys"
_SLOTS = ["/slots/a", "/slots/b"]
# A password that somebody set for a console over the network.
_WEBREPL = "/webrepl_cfg.py"


@dataclass(frozen=True)
class Closing:
    """`reset_pin`: the pin whose being held down at the start resets everything; None: no pin."""

    reset_pin: int | None


def close(board: RunningBoard, closing: Closing, told: Callable[[str], None]) -> None:
    """Closes the console of a board that has all it needs, and resets it: nothing comes over the
    cable any more (docs/production.md). Raises BoardError; then the console is open."""
    check_deployed(board)
    configuration, keys = board.call("hashes", [_CONFIGURATION, _KEYS])
    if configuration is None:
        hint = 'Name them: make provision PROFILE=production ARGS="PRODUCT DEVICE ..."'
        raise BoardError(_PHASE, "it has no product and device", hint)
    if keys is None:
        told(
            "It has no keys that sign updates (make ota-keys): what it runs now, it runs for good."
        )
    if closing.reset_pin is not None:
        _check_pin(board, closing.reset_pin)
    board.call("remove", _WEBREPL)
    pin = {} if closing.reset_pin is None else {"reset_pin": closing.reset_pin}
    board.write(CLOSED, json.dumps(pin).encode())
    board.reset()
    told(f"{CLOSED}: its console is closed from now on")


def check_deployed(board: RunningBoard) -> None:
    """Raises BoardError when there is not what no cable can bring later."""
    ours = starters()
    wanted = {path: ours[path] for path in ("/boot.py", "/factory.mpy", "/slotboot.mpy")}
    found = board.call("hashes", list(wanted))
    for (path, content), digest in zip(wanted.items(), found, strict=True):
        if digest != hashlib.sha256(content).hexdigest():
            raise BoardError(_PHASE, f"its {path} is not of this version", "First: make deploy")
    if not any(board.call("hashes", _SLOTS)):
        raise BoardError(_PHASE, "there is no application on it", "First: make deploy")


def _check_pin(board: RunningBoard, pin: int) -> None:
    """The next start looks at it, and a console that is closed says nothing of a wrong one."""
    level = board.exec(_PIN_LEVEL.format(pin=pin)).decode().strip()
    if level == "none":
        raise BoardError(_PHASE, f"this board has no pin {pin}", "Name a free GPIO: --reset-pin")
    if level == "0":
        hint = "Let go of it, or name another; nothing else may drive it."
        raise BoardError(_PHASE, f"pin {pin} is held, the start would reset everything", hint)
