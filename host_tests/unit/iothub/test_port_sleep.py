"""Deep sleep and what is kept through it (port/sleep.py), how long (cycle.py), and the chip's own
number as a name (port/naming.py), on simulated chips."""

import json
import os
import sys

from iothub import loading
from iothub.errors import BadInput
from iothub.timeouts import SLEEP_LAST_MS

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.temporary_tree import TemporaryTree

MINUTE_MS = 60000


class Rtc:
    kept = b""

    def memory(self, record=None):
        if record is None:
            return Rtc.kept
        Rtc.kept = bytes(record)
        return None


class Board:
    """The module `machine` of a Pico; `slept` are its sleeps."""

    def __init__(self):
        self.slept = []
        self.RTC = object

    def lightsleep(self, ms):
        self.slept.append(("light", ms))

    def deepsleep(self, ms):
        self.slept.append(("deep", ms))

    def unique_id(self):
        return b"\xe6\x61\x0a"


def _esp32():
    board = Board()
    board.RTC = Rtc
    Rtc.kept = b""
    return board


def _with(board, name, check):
    before = sys.modules.get("machine")
    sys.modules["machine"] = board
    try:
        check(__import__("iothub." + name, None, None, (name,)))
    finally:
        for used in ("iothub." + name, "iothub.port.sleep"):
            if used in sys.modules:
                loading.let_go(used)
        del sys.modules["machine"]
        if before is not None:
            sys.modules["machine"] = before


def test_an_esp32_keeps_a_record_and_sleeps_in_one_go():
    board = _esp32()

    def check(sleep):
        memory = sleep.rtc_memory()
        assert memory() == b""
        memory(b"abcd")
        assert sleep.rtc_memory()() == b"abcd"
        sleep.deep_sleep(1000 * MINUTE_MS)

    _with(board, "port.sleep", check)
    assert board.slept == [("deep", 1000 * MINUTE_MS)]


def test_a_pico_keeps_none_and_counts_long_sleeps_in_parts():
    board = Board()

    def check(sleep):
        assert sleep.rtc_memory() is None
        sleep.deep_sleep(MINUTE_MS)
        sleep.deep_sleep(180 * MINUTE_MS)

    _with(board, "port.sleep", check)
    assert board.slept[0] == ("deep", MINUTE_MS)
    parts = board.slept[1:]
    assert [kind for kind, _ in parts] == ["light", "light", "deep"]
    assert sum([ms for _, ms in parts]) == 180 * MINUTE_MS
    # More would not fit 32 bits of microseconds.
    assert max([ms for _, ms in parts]) * 1000 < 1 << 32


def test_after_failures_it_sleeps_longer_and_never_shorter():
    def longest(n):
        return n - 1

    def shortest(n):
        return 0

    def check(cycle):
        every_ms = 15 * MINUTE_MS
        assert cycle.sleep_ms(every_ms, 0, longest) == every_ms
        waits = [cycle.sleep_ms(every_ms, n, longest) for n in range(1, 21)]
        assert waits[:3] == [2 * every_ms, 3 * every_ms, 5 * every_ms]
        assert waits == sorted(waits) and waits[-1] == every_ms + SLEEP_LAST_MS
        for n in range(1, 21):
            assert cycle.sleep_ms(every_ms, n, shortest) == every_ms
        # A sleep that is longer than the cap is not made shorter by it.
        assert cycle.sleep_ms(2 * SLEEP_LAST_MS, 5, longest) == 3 * SLEEP_LAST_MS
        assert cycle.sleep_ms(cycle.MAX_SLEEP_MS, 20, longest) == cycle.MAX_SLEEP_MS

    _with(_esp32(), "cycle", check)


def test_what_is_in_the_memory_after_a_power_cut_counts_for_nothing():
    def check(cycle):
        for failures in range(21):
            assert cycle._failures(cycle._record(failures)) == failures
            assert cycle._failures(bytearray(cycle._record(failures))) == failures
        for record in (
            None,
            b"",
            b"IS",
            b"IS\x01\x01",
            b"IS\xff\x00",
            b"xx\x01\xfe",
            b"IS\x01\xfe1",
        ):
            assert cycle._failures(record) == 0, record

    _with(_esp32(), "cycle", check)


def test_a_cycle_is_as_long_as_the_chip_can_count():
    def check(cycle):
        for every_ms in (0, -1, cycle.MAX_SLEEP_MS + 1, 15 * 60e3, "900000", None):
            assert raises(BadInput, cycle.run, None, None, every_ms).field == "every_ms"

    _with(_esp32(), "cycle", check)


class Failing:
    """A device of which nothing works any more."""

    def __init__(self):
        self.storage = self.network = self
        self.asked = []

    def read(self, name, offset=0, size=-1):
        return None

    def write(self, name, data):
        self.asked.append("write")
        raise OSError(28)

    def tell(self, what, detail):
        self.asked.append("tell")
        raise ValueError("a handler's mistake")

    def down(self):
        self.asked.append("down")
        raise OSError(5)


def test_it_sleeps_whatever_fails_before():
    board = Board()
    device = Failing()

    def check(cycle):
        async def wake(device, work):
            return BadInput("network", "is gone")

        cycle._wake = wake
        cycle.run(device, None, MINUTE_MS)

    _with(board, "cycle", check)
    assert device.asked == ["write", "tell", "down"]
    assert [kind for kind, _ in board.slept] == ["deep"]


def test_a_board_calls_itself_by_its_number():
    fields = {"product_id": "A", "device_name": "lamp-*", "app": {"x": [1]}}

    def check(naming):
        place = TemporaryTree()
        with place:
            path = place.place + "/device.json"
            with open(path, "w") as f:
                f.write(json.dumps(fields))
            for _ in range(2):  # the second time there is nothing to do
                assert naming.name_device(path) == "lamp-e6610a"
                assert "iothub.port.naming" not in sys.modules
                with open(path) as f:
                    found = json.loads(f.read())
                assert found.pop("device_name") == "lamp-e6610a"
                assert found == {"product_id": "A", "app": {"x": [1]}}
            assert os.listdir(place.place) == ["device.json"]

    _with(Board(), "port.naming", check)


def test_a_name_without_a_star_is_left_alone():
    def check(naming):
        place = TemporaryTree()
        with place:
            path = place.place + "/device.json"
            for text, name in (('{"device_name":  "lamp"}', "lamp"), ("[]", None), ("{}", None)):
                with open(path, "w") as f:
                    f.write(text)
                assert naming.name_device(path) == name
                with open(path) as f:
                    assert f.read() == text
            assert raises(BadInput, naming.name_device, path + "x").field.endswith("x")

    _with(Board(), "port.naming", check)
