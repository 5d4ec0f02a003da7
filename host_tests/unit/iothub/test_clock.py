from iothub.clock import Clock, epoch_offset_s

PERIOD = 1 << 30  # of the ticks of a 32-bit port


class Ticks:
    """Ticks that a test moves, with the arithmetic of a 32-bit port."""

    def __init__(self, start=0):
        self.value = start

    def ms(self):
        return self.value

    def pass_ms(self, elapsed_ms):
        self.value = (self.value + elapsed_ms) % PERIOD

    def diff(self, end, start):
        return ((end - start + PERIOD // 2) % PERIOD) - PERIOD // 2


def _clock(start=0):
    ticks = Ticks(start)
    return Clock(ticks.ms, ticks.diff), ticks


def test_before_it_is_set_the_time_is_not_known():
    clock, ticks = _clock()
    ticks.pass_ms(1000)
    assert not clock.known
    assert clock.now_ms() is None and clock.now_s() is None and clock.uncertainty_ms is None


def test_it_goes_on_from_what_it_was_told():
    clock, ticks = _clock(12345)
    clock.set(1704363215123, ticks.ms(), 7)
    assert clock.known and clock.uncertainty_ms == 7
    assert clock.now_ms() == 1704363215123
    for expected in (1704363215124, 1704363215125):
        ticks.pass_ms(1)
        assert clock.now_ms() == expected
    ticks.pass_ms(875)
    assert clock.now_s() == 1704363216


def test_it_may_be_told_a_time_of_a_little_ago():
    clock, ticks = _clock()
    at = ticks.ms()
    ticks.pass_ms(300)
    clock.set(1704363215000, at)
    assert clock.now_ms() == 1704363215300


def test_the_ticks_may_wrap():
    clock, ticks = _clock(PERIOD - 500)
    clock.set(1704363215000, ticks.ms())
    ticks.pass_ms(1000)
    assert ticks.ms() == 500
    assert clock.now_ms() == 1704363216000


def test_it_is_right_after_a_month_of_daily_looks():
    clock, ticks = _clock()
    clock.set(1704363215000, ticks.ms())
    day_ms = 24 * 3600 * 1000
    for day in range(1, 32):
        ticks.pass_ms(day_ms)
        assert clock.now_ms() == 1704363215000 + day * day_ms


def test_setting_again_replaces_the_time():
    clock, ticks = _clock()
    clock.set(1704363215000, ticks.ms(), 50)
    ticks.pass_ms(1000)
    clock.set(1704363000000, ticks.ms(), 5)
    assert (clock.now_ms(), clock.uncertainty_ms) == (1704363000000, 5)


def test_the_epoch_of_a_port():
    assert epoch_offset_s(1970) == 0
    # 30 years and 7 leap days.
    assert epoch_offset_s(2000) == (30 * 365 + 7) * 86400
