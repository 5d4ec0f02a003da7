"""Cuts the power of a factory reset at changes it makes to the flash, and judges what is left.

    MICROPYPATH=ROOT:ROOT/firmware micropython host_tests/faults/power_factory.py [--every N]

At each cut that is played, the device starts again, is cut once more, a change further on, and
then comes to its end.
"""

import json
import os
import sys

import factory
import vfs

from host_tests.faults.fuzz_dice import Dice
from host_tests.faults.power_media import (
    HALF_DONE,
    NOT_DONE,
    PAGE_BYTES,
    SCATTERED,
    Flash,
    apply_to_flash,
    tear_flash,
)

_POINT = "/power"
_BLOCKS = 24
# Long ones lie in blocks of their own, short ones within the folder's.
_QUEUE = b"queued message " * 400
_SECRETS = (b"device secret", b"Wi-Fi password", b"private key")
_LEARNED = (b"queued message", b"session")
_SLOTS = b"which slot is good"
_IMAGE = b"application" * 500
_FILES = {
    "device.json": json.dumps(
        {
            "device_secret": _SECRETS[0].decode(),
            "network": {"password": _SECRETS[1].decode()},
            "private_key": "of_mine.der",
        }
    ).encode(),
    "of_mine.der": _SECRETS[2] * 30,
    "closed.json": b"{}",
    "slots/a": _IMAGE,
    "state/slots.a": _SLOTS,
    "state/queue.1": _QUEUE,
    "state/session": _LEARNED[1],
}
_REGISTERED = "state/registered.a"


class Case:
    """A board with `_FILES`, which was asked for a reset."""

    def __init__(self, everything):
        self.everything = everything
        self.flash = Flash(_BLOCKS)
        vfs.VfsLfs2.mkfs(self.flash, progsize=PAGE_BYTES)  # type: ignore[arg-type]
        self._on()
        os.mkdir("state")
        os.mkdir("slots")
        # Twice, so that old blocks are about, too.
        for _ in range(2):
            for path, content in _FILES.items():
                self._put(path, content)
            self._put(_REGISTERED, b"given: " + _SECRETS[0])
        self._put("reset", b"everything" if everything else b"state")
        self._off()

    def _on(self):
        file_system = vfs.VfsLfs2(self.flash, progsize=PAGE_BYTES)  # type: ignore
        vfs.mount(file_system, _POINT)
        os.chdir(_POINT)

    def _off(self):
        os.chdir("/")
        vfs.umount(_POINT)

    def _put(self, path, content):
        with open(path, "wb") as file:
            file.write(content)

    def start(self, image):
        """The changes that the start makes to a flash of this content."""
        self.flash.data[:] = image
        self.flash.log = []
        self._on()
        factory.begin()
        self._off()
        return self.flash.log

    def judge(self, is_over):
        """What is wrong with the flash as it is, or None."""
        lies = [word for word in _SECRETS if word in self.flash.data]
        self._on()
        root, state = os.listdir(), os.listdir("state")
        starts = _read("state/slots.a") == _SLOTS and _read("slots/a") == _IMAGE
        self._off()
        if not starts:
            return "which slot is good is lost"
        if "closed.json" not in root and (lies or not self.everything):
            return f"the console is open, and {lies} lies there"
        if not is_over:
            return None
        if "reset" in root or "fill" in root or "fill" in state:
            return f"it is not over: {root} {state}"
        if any(word in self.flash.data for word in _LEARNED):
            return "what it learned lies there"
        if self.everything:
            return f"{lies} lies there" if lies else None
        if "registered.a" not in state or "device.json" not in root:
            return "its identity is lost"
        return None


def _read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def main(everything, every):
    case = Case(everything)
    image = bytearray(case.flash.data)
    log = case.start(image)
    fault = case.judge(True)
    if fault:
        print("FAULT", fault)
        sys.exit(1)
    dice = Dice(1, everything)
    cuts = 0
    for i in range(len(log)):
        if i % every == 0:
            for tear in (NOT_DONE, HALF_DONE, SCATTERED):
                cuts += _cut(case, bytearray(image), log[i], tear, dice)
        apply_to_flash(image, log[i])
    kind = "everything" if everything else "state"
    print(f"{kind}: {len(log)} changes, {cuts} cuts")


def _cut(case, image, change, tear, dice):
    """Once here, and once somewhere in what follows."""
    tear_flash(image, change, tear, dice)
    case.flash.data[:] = image
    fault = case.judge(False)
    log = case.start(image)
    fault = fault or case.judge(True)
    if log and not fault:
        second = dice.below(len(log))
        for change in log[:second]:
            apply_to_flash(image, change)
        tear_flash(image, log[second], tear, dice)
        case.flash.data[:] = image
        fault = case.judge(False)
        case.start(image)
        fault = fault or case.judge(True)
    if fault:
        print("FAULT", fault)
        sys.exit(1)
    return 2


_every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
main(True, _every)
main(False, _every)
