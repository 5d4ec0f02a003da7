"""Starts the application of one of two slots, or what is left to start: outside the slots, where
no update replaces it.

A slot is one file, /slots/a or /slots/b, read as a file system at /slot; /slots/base is what
provisioning wrote: identity, MQTT and update, for when no slot is good. Which one starts says the
journal "slots" in /state (iothub/store/journal.py has the format, iothub/update/slots.py the other
half of the states).

A start is counted before it begins, so that what hangs, fails or takes the power down with it is
given up in the end. Counted is each of a version on trial, and each after a reset of a version
that net/updates.py watches, which has the watchdog, too. Of any other only the failures that run()
sees are counted: nobody ever confirms it, and it may reset the chip as it likes.
"""

import json
import os
import struct
import sys
from binascii import crc32

try:
    from micropython import const
except ImportError:  # CPython: host tests

    def const(value):  # type: ignore[misc]  # "/" to match it is no MicroPython
        return value


CONFIRMED = const(0)  # the slot proved itself
TRIAL = const(1)  # the slot is new, and has to
SAFE = const(2)  # no slot is good: base starts

# Starts without a confirmation before a slot is given up.
MAX_TRIES = const(3)
_MAX_WHY = const(80)
_MAX_RECORD_BYTES = const(1536)
_WATCHDOG_MS = const(8000)  # an RP2040 counts 8,388 ms at most
# From the start until the application must feed the watchdog itself (net/watch.py). Before, it may
# register, join Wi-Fi, sign with RSA, each longer than the chip can count.
_START_S = const(120)
_PAUSE_MS = const(5000)  # before a failed application starts again: time for Ctrl-C
# From a reset of the chip to here. Later it is a soft reset, which is a person's.
_BOOT_MS = const(10000)

# What does not count as a start that failed: the power came, or a sleep ended.
_POWER_ON = const(1)
_DEEP_SLEEP = const(4)
_WATCHDOG = const(3)

# A record of the journal: magic, sequence number, bytes of payload, CRC-32 of all but itself.
_RECORD = ">3sHHI"
_RECORD_BYTES = const(11)
# A slot: magic, entries, bytes of the whole, CRC-32 of the table. Then the table, by entry the
# CRC-32 of the path and where the file is (0: a folder); then the files, each with length of path,
# path, bytes, CRC-32.
_SLOT = ">4sIII"
_SLOT_BYTES = const(16)
_SLOT_MAGIC = b"IHS\x01"
_ENTRY_BYTES = const(8)
_BUFFER_BYTES = const(512)

_running = ""
_is_guarded = False  # has the watchdog
_timer = None  # kept: one that is collected ticks no more


class Slot:
    """The file `path` as a read-only file system. Raises ValueError: it is damaged, OSError: it
    is not there."""

    def __init__(self, path):
        self._path = path
        with open(path, "rb") as file:
            head = file.read(_SLOT_BYTES)
            if len(head) != _SLOT_BYTES:
                raise ValueError
            magic, entries, self._size, crc = struct.unpack(_SLOT, head)
            self._table = file.read(entries * _ENTRY_BYTES) if entries < 4096 else b""
            if magic != _SLOT_MAGIC or crc32(self._table) != crc or os.stat(path)[6] != self._size:
                raise ValueError

    def check(self):
        """Reads all files. Raises ValueError when one is damaged."""
        buf = memoryview(bytearray(_BUFFER_BYTES))
        at = _SLOT_BYTES + len(self._table)
        with open(self._path, "rb") as file:
            while at < self._size:
                file.seek(at)
                path, size, crc = _entry(file)
                at = file.seek(0, 1) + size
                while size:
                    part = buf[: min(size, _BUFFER_BYTES)]
                    if file.readinto(part) != len(part):
                        raise ValueError
                    path = crc32(part, path)
                    size -= len(part)
                if path != crc:
                    raise ValueError

    def mount(self, readonly, mkfs):
        pass

    def umount(self):
        pass

    def stat(self, path):
        mode = 0x8000 if self._find(path) else 0x4000
        return (mode, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def open(self, path, mode):
        file = open(self._path, "rb")
        file.seek(self._find(path))
        _, size, _ = _entry(file)
        if path[-4:] == ".mpy":
            return file  # the importer reads to its end and no further
        import io

        with file:
            content = file.read(size)
        return io.BytesIO(content) if "b" in mode else io.StringIO(content.decode())

    def _find(self, path):
        if path in ("", "/"):
            return 0
        name = struct.pack(">I", crc32(path.strip("/")))
        at = self._table.find(name)
        while at % _ENTRY_BYTES and at > 0:
            at = self._table.find(name, at + 1)
        if at < 0:
            raise OSError(2)
        return struct.unpack_from(">I", self._table, at + 4)[0]


def _entry(file):
    """(CRC-32 of the path, size, CRC-32 of path and content) of the file that begins here."""
    path = crc32(file.read(file.read(1)[0]))
    size, crc = struct.unpack(">II", file.read(8))
    return path, size, crc


class Record:
    """The journal "slots" in `folder`: `state` is what it holds, {} when there is nothing."""

    def __init__(self, folder):
        self._paths = (folder + "/slots.a", folder + "/slots.b")
        self._newest = 1
        self._sequence = 0
        self.state: dict = {}
        for i in (0, 1):
            try:
                with open(self._paths[i], "rb") as file:
                    record = file.read(_MAX_RECORD_BYTES)
                if len(record) < _RECORD_BYTES:
                    continue
                magic, sequence, _, crc = struct.unpack_from(_RECORD, record)
                payload = record[_RECORD_BYTES:]
                if magic != b"IJ\x01" or crc32(payload, crc32(record[:7])) != crc:
                    continue
                if not self.state or (sequence - self._sequence) & 0xFFFF < 0x8000:
                    self.state = json.loads(payload)
                    self._sequence = sequence
                    self._newest = i
            except (OSError, ValueError):
                pass

    def save(self):
        payload = json.dumps(self.state).encode()
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._newest = 1 - self._newest
        head = struct.pack(_RECORD, b"IJ\x01", self._sequence, len(payload), 0)[:7]
        try:
            with open(self._paths[self._newest], "wb") as file:
                file.write(head + struct.pack(">I", crc32(payload, crc32(head))) + payload)
        except OSError:
            pass  # full or worn: better an uncounted start than none


def choose(root="", cause=_POWER_ON):
    """(name, Slot) of what to start; ("", None) when nothing can be. `cause`: why the chip was
    reset. Counts the start."""
    global _is_guarded
    record = Record(root + "/state")
    state: dict = {"slot": "a", "phase": CONFIRMED, "good": "a", "tries": 0}
    state.update(record.state)
    record.state = state
    slot = None
    is_reset = cause not in (_POWER_ON, _DEEP_SLEEP)
    if not is_reset and state["phase"] == CONFIRMED and state["tries"] and not _watched(state):
        state["tries"] = 0
        record.save()
    while slot is None and state["phase"] != SAFE:
        is_counted = state["phase"] == TRIAL or (is_reset and _watched(state))
        if is_counted or state["tries"] >= MAX_TRIES:
            if cause == _WATCHDOG and not state.get("why"):
                state["why"] = "it hung, or reset the chip"
            if state["tries"] >= MAX_TRIES:
                _give_up(state)
                record.save()
                is_reset = False  # the next one did not fail
                continue
            state["tries"] += 1
            state["causes"] = (state.get("causes") or [])[-MAX_TRIES:] + [cause]
            record.save()
        try:
            slot = Slot(root + "/slots/" + state["slot"])
            if state["tries"] > 1:
                slot.check()
        except (OSError, ValueError):
            slot = None
            state["why"] = "its file is damaged"
            _give_up(state)
            record.save()
    _is_guarded = slot is None or state["phase"] == TRIAL or _watched(state)
    if slot is None:
        return _base(root)
    return state["slot"], slot


def _watched(state):
    """An update came with net/updates.py, and only that confirms one."""
    return bool(state.get(state["slot"])) or state.get("watched") == state["slot"]


def _base(root):
    try:
        return "base", Slot(root + "/slots/base")
    except (OSError, ValueError):
        return "", None


def _give_up(state):
    """The other slot, if it is good; else base."""
    slot = state["slot"]
    if state["phase"] == TRIAL:
        version = (state.get(slot) or ("",))[0]
        state["outcome"] = [version, state.get("why") or "it was started %d times" % MAX_TRIES]
    good = state["good"].replace(slot, "")
    state["good"] = good
    state["phase"] = CONFIRMED if good else SAFE
    state["slot"] = good[:1]
    state["tries"] = 0
    state["why"] = ""


def begin():
    """Mounts what is to start; run() starts it."""
    global _running
    from time import ticks_ms

    import machine
    import vfs

    is_soft = ticks_ms() > _BOOT_MS  # type: ignore[operator]  # stubs: a number of its own kind
    try:
        _running, slot = choose("", _POWER_ON if is_soft else machine.reset_cause())
    except Exception as e:
        sys.print_exception(e)
        _running, slot = _base("")
    if slot is None:
        print("slotboot: nothing to start. Write the board again: make flash")
        return
    if is_soft and _is_guarded:
        _feed_for(-1)  # it still runs, and perhaps the REPL is all that follows
    vfs.mount(slot, "/slot")
    sys.path[:] = ["/slot", ".frozen"]


def run():
    """Runs the module `main` of what begin() mounted. Does not return: what ends or fails is
    started again. Ctrl-C leads to the REPL, where the watchdog is fed."""
    if not _running:
        return
    from time import sleep_ms

    from machine import reset

    if _is_guarded:
        _feed_for(_START_S)
    why = "the application ended"
    try:
        __import__("main")
    except KeyboardInterrupt:
        if _is_guarded:
            _feed_for(-1)
        return
    except BaseException as e:
        sys.print_exception(e)
        why = "it raised %s: %s" % (type(e).__name__, e)
    print("slotboot: %s: %s. It starts again" % (_running, why))
    if _running != "base":
        note(why)
    if _is_guarded:
        _feed_for(-1)
    sleep_ms(_PAUSE_MS)
    reset()


def _feed_for(seconds):
    """Starts the watchdog and feeds it once a second, so often; -1: for ever."""
    global _timer
    from machine import WDT, Timer

    watchdog = WDT(timeout=_WATCHDOG_MS)
    if _timer:
        _timer.deinit()
    left = [seconds]

    def feed(timer):
        if left[0]:
            left[0] -= 1
            watchdog.feed()

    try:
        _timer = Timer(-1, period=1000, callback=feed)
    except ValueError:  # chips that number theirs
        _timer = Timer(0, period=1000, callback=feed)


def note(why, root=""):
    """Remembers why the running slot failed, for the report, and counts what was not."""
    record = Record(root + "/state")
    state = record.state
    state["why"] = why[:_MAX_WHY]
    if not _is_guarded:
        state["tries"] = state.get("tries", 0) + 1
    record.save()
