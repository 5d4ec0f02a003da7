"""The watchdog for longer than an RP2040 can count, over a machine module with a hand-cranked
timer."""

import sys

from host_tests.unit.iothub.test_watchdog import LONGEST_MS, WDT, Machine


class Timer:
    """`made` are the timers; tick() is what the hardware does."""

    made: list = []

    def __init__(self, number, period, callback):
        assert (number, period) == (-1, 1000)
        self.tick = lambda: callback(self)
        self.made.append(self)


class Chip:
    """Stands for the package iothub.port of a board."""

    wdt: WDT

    @staticmethod
    def watch(timeout_ms):
        from iothub.errors import BadInput

        try:
            Chip.wdt = WDT(timeout_ms)
        except ValueError as e:
            raise BadInput("watchdog", str(e))

    @staticmethod
    def feed():
        Chip.wdt.feed()


class Clock:
    """Stands for the module time."""

    now_ms = 0

    @staticmethod
    def ticks_ms():
        return Clock.now_ms

    @staticmethod
    def ticks_diff(later, earlier):
        return later - earlier


def _watched(limit_ms, check):
    from iothub.port import updates

    before = sys.modules.get("machine"), updates.port, updates.time
    Clock.now_ms = 1000
    Machine.Timer = Timer  # type: ignore[attr-defined]
    sys.modules["machine"] = Machine  # type: ignore[assignment]
    updates.port = Chip  # type: ignore[assignment]
    updates.time = Clock  # type: ignore[assignment]
    WDT.made.clear()
    Timer.made.clear()
    try:
        check(updates.watch(limit_ms))
    finally:
        machine, updates.port, updates.time = before
        del sys.modules["machine"]
        if machine is not None:
            sys.modules["machine"] = machine


def test_what_the_chip_can_count_needs_no_timer():
    def check(alive):
        assert WDT.made == [LONGEST_MS] and Timer.made == []
        alive()
        assert WDT.made == [LONGEST_MS, "fed"]

    _watched(LONGEST_MS, check)


def test_a_timer_feeds_while_there_are_signs_of_life():
    def check(alive):
        assert WDT.made == [8000]
        (timer,) = Timer.made
        for Clock.now_ms in (2000, 60999):
            timer.tick()
        assert WDT.made == [8000, "fed", "fed"]
        Clock.now_ms = 61000
        timer.tick()
        assert WDT.made == [8000, "fed", "fed"], "no sign of life for a minute"
        alive()
        timer.tick()
        assert WDT.made == [8000, "fed", "fed", "fed"]

    _watched(60000, check)
