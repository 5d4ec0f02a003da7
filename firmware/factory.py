"""What was decided where the device was made, before any application starts: what a factory reset
takes away, and whether the console is closed. boot.py begins with it; no update replaces it.

A reset is asked for by the file /reset (iothub/port/factory.py) or, where the console is closed,
by a pin that is held at the start. It is of "everything", or of what the device has learned. The
request stays on the flash until all of it is done.
"""

import json
import os

from micropython import const

_CLOSED = const("closed.json")  # closes the console, for boot.py: {}, or {"reset_pin": 22}
_ASKED = const("reset")
_EVERYTHING = const("everything")
_STATE = const("state")
_CONFIGURATION = const("device.json")
_IDENTITY = ("device.der", "device.crt.der", "device.key.der")
_FILL = const("fill")

# How long the pin is held down, to ground.
_HOLD_MS = const(5000)
_POLL_MS = const(100)

# What LittleFS keeps within a folder's block, and how often it is to be written until both blocks
# of the folder, of 4 KiB, were erased.
_SMALL_BYTES = const(500)
_SMALL_WRITES = const(24)
_MAX_FLASH_BYTES = const(16 * 1024 * 1024)


def begin():
    """Does the reset that was asked for, if one was."""
    closed = _read(_CLOSED)
    if closed is not None and _is_held(closed):
        with open(_ASKED, "w") as file:
            file.write(_EVERYTHING)
    asked = _read(_ASKED)
    if asked is not None:
        print("factory: reset of", asked)
        _clear(asked == _EVERYTHING)


def _read(path):
    """The text of a file; "" for one that cannot be read, None for none."""
    try:
        os.stat(path)
    except OSError:
        return None
    try:
        with open(path) as file:
            return file.read()
    except (OSError, ValueError):
        return ""


def _is_held(closed):
    try:
        number = json.loads(closed)["reset_pin"]
    except (ValueError, KeyError, TypeError):
        return False
    from time import sleep_ms

    from machine import Pin

    pin = Pin(number, Pin.IN, Pin.PULL_UP)
    sleep_ms(1)  # until the pull-up has it
    for _ in range(_HOLD_MS // _POLL_MS):
        if pin.value():
            return False
        sleep_ms(_POLL_MS)
    return True


def _clear(everything):
    for name in _names(_STATE):
        # Which application starts is no one's secret; the registration is the device's identity.
        if not name.startswith("slots.") and (everything or not name.startswith("registered.")):
            _remove(_STATE + "/" + name)
    if everything:
        for path in _identity():
            _remove(path)
    _overwrite()
    if everything:
        _remove(_CLOSED)
    _remove(_ASKED)


def _identity():
    """The files that say who the device is; the configuration last, since it names others."""
    paths = list(_IDENTITY)
    try:
        fields = json.loads(_read(_CONFIGURATION) or "{}")
        paths += [fields[name] for name in ("certificate", "private_key") if fields.get(name)]
    except (ValueError, AttributeError):
        pass
    return paths + [_CONFIGURATION]


def _names(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return ()


def _remove(path):
    """A file, or a folder with all in it; nothing, where nothing is."""
    try:
        if os.stat(path)[0] & 0x4000:
            for name in os.listdir(path):
                _remove(path + "/" + name)
            os.rmdir(path)
        else:
            os.remove(path)
    except OSError:
        pass


def _overwrite():
    """A flash keeps what was removed until its block is used again. All free blocks are, once;
    then those of the folders, in which small files lie."""
    zeros = bytes(_SMALL_BYTES)
    _write(_FILL, zeros, _MAX_FLASH_BYTES // _SMALL_BYTES)
    for path in (_FILL, _STATE + "/" + _FILL):
        for _ in range(_SMALL_WRITES):
            _write(path, zeros, 1)
        _remove(path)


def _write(path, data, times):
    try:
        with open(path, "wb") as file:
            for _ in range(times):
                file.write(data)
    except OSError:  # it is full, or there is no such folder
        _remove(path)
