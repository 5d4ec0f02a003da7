"""The rungs of the ladder to a plausible clock (net/rtc.py), from a chip that woke up in 2000."""

from iothub.errors import CLOCK, NETWORK, DeadlineError, LinkError, ProtocolError
from iothub.net.rtc import BUILD_UNIX_S, TimedNetwork
from iothub.store.journal import Journal

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.memory_storage import MemoryStorage

YEAR_2000_S = 946684800
NOW_S = BUILD_UNIX_S + 40000000
NOTED_S = NOW_S - 86400
YEAR_2100_S = 4102444800

SILENCE = DeadlineError("no SNTP answer in time", CLOCK)
NONSENSE = ProtocolError("sntp: the server has no time itself")
NO_NAME = LinkError("no address for sntp", NETWORK, -2)
NO_ROUTE = OSError(113)


class Chip:
    """`settings` are the times its clock was given."""

    def __init__(self, unix_s=YEAR_2000_S):
        self._unix_s = unix_s
        self.settings = []

    def rtc_unix_s(self):
        return self._unix_s

    def set_rtc(self, unix_s):
        self.settings.append(unix_s)
        self._unix_s = unix_s


class Network:
    def __init__(self, error=None):
        self.ups = 0
        self._error = error

    async def up(self):
        self.ups += 1
        if self._error is not None:
            raise self._error


class Timed(TimedNetwork):
    """`says`: the time SNTP answers, or what asking raises; None where nobody may be asked."""

    says = None
    asked = 0

    async def _ask(self):
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


def _journal(unix_s=None):
    journal = Journal(MemoryStorage(), "time")
    if unix_s is not None:
        journal.save(unix_s.to_bytes(4, "big"))
    return journal


def _timed(says, rtc_s=YEAR_2000_S, journal=None, network=None):
    chip = Chip(rtc_s)
    timed = Timed(network, "sntp", chip, journal)
    timed.says = says
    return timed, chip


def _up(timed):
    """Runs up(), which waits for nothing here."""
    try:
        timed.up().send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


def test_a_clock_that_can_be_right_is_left_alone_and_nobody_asked():
    for rtc_s, journal in (
        (BUILD_UNIX_S, None),
        (NOW_S, None),
        (NOW_S, _journal()),
        (NOTED_S, _journal(NOTED_S)),
    ):
        timed, chip = _timed(None, rtc_s, journal)
        _up(timed)
        _up(timed)
        assert timed.asked == 0 and chip.settings == []


# What SNTP does, what was noted, what the clock in 2000 is set to.
ROWS = (
    (NOW_S, None, NOW_S),
    (NOW_S, NOTED_S, NOW_S),
    (SILENCE, None, BUILD_UNIX_S),
    (SILENCE, NOTED_S, NOTED_S),
    (NONSENSE, None, BUILD_UNIX_S),
    (NONSENSE, NOTED_S, NOTED_S),
    (NO_NAME, NOTED_S, NOTED_S),
    (NO_ROUTE, NOTED_S, NOTED_S),
    # A time before the floor is a lie, or a mistake.
    (YEAR_2000_S, None, BUILD_UNIX_S),
    (YEAR_2000_S, NOTED_S, NOTED_S),
    (NOTED_S - 1, NOTED_S, NOTED_S),
    (NOTED_S, NOTED_S, NOTED_S),
    # So is a note from before this firmware was made.
    (SILENCE, YEAR_2000_S, BUILD_UNIX_S),
    (NOW_S, YEAR_2000_S, NOW_S),
)


def test_each_rung():
    for says, noted_s, expected_s in ROWS:
        timed, chip = _timed(says, journal=_journal(noted_s))
        _up(timed)
        assert timed.asked == 1
        assert chip.settings == [expected_s], (says, noted_s, chip.settings)


def test_a_journal_is_not_needed_and_may_hold_something_else():
    for journal in (None, _journal()):
        timed, chip = _timed(SILENCE, journal=journal)
        _up(timed)
        assert chip.settings == [BUILD_UNIX_S]
    for noted in (b"", b"abc", b"abcdefgh"):
        journal = _journal()
        journal.save(noted)
        timed, chip = _timed(SILENCE, journal=journal)
        _up(timed)
        assert chip.settings == [BUILD_UNIX_S]


def test_a_clock_behind_the_last_good_time_is_behind():
    timed, chip = _timed(NOW_S, BUILD_UNIX_S + 1, _journal(NOTED_S))
    _up(timed)
    assert chip.settings == [NOW_S]


def test_silence_is_not_the_last_word():
    # One lost packet must not leave the clock in the past for as long as the board has power.
    timed, chip = _timed(SILENCE)
    _up(timed)
    timed.says = NOW_S
    _up(timed)
    assert chip.settings == [BUILD_UNIX_S, NOW_S]


def test_still_silence_does_not_turn_the_clock_back():
    timed, chip = _timed(SILENCE)
    _up(timed)
    chip._unix_s += 3600  # it goes on meanwhile
    _up(timed)
    assert timed.asked == 2 and chip.settings == [BUILD_UNIX_S]


def test_a_lie_about_the_future_is_not_the_last_word_either():
    timed, chip = _timed(YEAR_2100_S)
    _up(timed)
    timed.says = NOW_S
    _up(timed)
    assert chip.settings == [YEAR_2100_S, NOW_S]


def test_when_the_hub_has_told_the_time_nobody_is_asked_any_more():
    journal = _journal()
    timed, chip = _timed(SILENCE, journal=journal)
    _up(timed)
    # As Device does it after a login.
    chip.set_rtc(NOW_S)
    journal.save(NOW_S.to_bytes(4, "big"))
    chip._unix_s += 3600
    _up(timed)
    assert timed.asked == 1 and chip.settings == [BUILD_UNIX_S, NOW_S]


def test_the_network_comes_first():
    network = Network()
    timed, chip = _timed(NOW_S, network=network)
    _up(timed)
    assert network.ups == 1 and chip.settings == [NOW_S]
    timed, chip = _timed(None, network=Network(LinkError("Wi-Fi: wrong password")))
    raises(LinkError, _up, timed)
    assert timed.asked == 0 and chip.settings == []


def test_a_mistake_in_the_program_is_not_taken_for_silence():
    timed, chip = _timed(TypeError("a bug"))
    raises(TypeError, _up, timed)
    assert chip.settings == []
