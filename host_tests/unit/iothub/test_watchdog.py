"""The boards' watchdog (port/watchdog.py), over a machine module that counts."""

import sys

from iothub.errors import BadInput

from host_tests.unit.iothub.expect import raises

LONGEST_MS = 8388


class WDT:
    """As the RP2040's; `made` are the time limits and then each feeding."""

    made: list = []

    def __init__(self, timeout):
        if timeout > LONGEST_MS:
            raise ValueError("timeout exceeds 8388")
        self.made.append(timeout)

    def feed(self):
        self.made.append("fed")


class Machine:
    WDT = WDT


def _with_a_chip(check):
    before = sys.modules.get("machine")
    sys.modules["machine"] = Machine  # type: ignore[assignment]
    WDT.made.clear()
    try:
        from iothub.port import watchdog

        watchdog._wdt = None
        check(watchdog)
    finally:
        watchdog._wdt = None
        del sys.modules["machine"]
        if before is not None:
            sys.modules["machine"] = before


def test_nothing_is_fed_before_it_watches():
    def check(watchdog):
        watchdog.feed()
        assert WDT.made == []
        watchdog.watch(LONGEST_MS)
        watchdog.feed()
        watchdog.feed()
        assert WDT.made == [LONGEST_MS, "fed", "fed"]

    _with_a_chip(check)


def test_what_the_chip_cannot_count_is_refused_and_watches_not():
    def check(watchdog):
        for timeout_ms in (LONGEST_MS + 1, 0, -5):
            error = raises(BadInput, watchdog.watch, timeout_ms)
            assert error.field == "watchdog" and "timeout" in error.reason
        watchdog.feed()
        assert WDT.made == []

    _with_a_chip(check)


def test_a_running_one_gets_another_limit():
    def check(watchdog):
        watchdog.watch(1000)
        watchdog.watch(5000)
        watchdog.feed()
        assert WDT.made == [1000, 5000, "fed"]

    _with_a_chip(check)
