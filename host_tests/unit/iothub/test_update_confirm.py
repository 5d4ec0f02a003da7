"""A version on trial proves itself step by step, or is given up with the reason."""

from iothub.errors import DeadlineError, LinkError, LoginRefused, StorageError, TlsError
from iothub.timeouts import TRIAL_CHECK_MS, TRIAL_LINK_MS, TRIAL_LOGIN_MS, TRIAL_NETWORK_MS
from iothub.update import confirm
from iothub.update.confirm import CHECKING, DONE, JOINING, LINKING, LOGGING_IN, Trial


class Slots:
    """Notes what is decided."""

    def __init__(self):
        self.confirmed = 0
        self.why = None

    def confirm(self):
        self.confirmed += 1

    def give_up(self, why):
        assert self.why is None
        self.why = why


def trial(now_ms=1000):
    slots = Slots()
    return slots, Trial(slots, lambda later, earlier: later - earlier, now_ms)


NO_WIFI = LinkError("Wi-Fi: wrong password", "network")
REFUSED = LinkError("refused")
BAD_CA = TlsError("unknown authority")
BAD_LOGIN = LoginRefused("bad password", None, 4)


def test_a_version_that_logs_in_and_says_yes_is_confirmed():
    slots, it = trial()
    assert it.step == JOINING
    assert it.online(5000)
    assert not it.online(6000), "asked once"
    assert slots.confirmed == 0
    it.checked()
    assert (slots.confirmed, slots.why, it.failure, it.step) == (1, None, None, DONE)
    it.advance(10**9)
    it.refused("too late")
    it.checked()
    assert (slots.confirmed, slots.why) == (1, None)


def test_nothing_is_confirmed_before_the_login():
    slots, it = trial()
    it.checked()
    assert slots.confirmed == 0


def test_it_is_given_up_also_when_that_cannot_be_written():
    class FullFlash(Slots):
        def give_up(self, why):
            raise StorageError("cannot save slots.a", None, 28)

    it = Trial(FullFlash(), lambda later, earlier: later - earlier, 0)
    it.advance(TRIAL_NETWORK_MS)
    assert (it.failure, it.step) == ("no network in time", DONE)


def test_each_step_has_a_deadline_of_its_own():
    for errors, step, limit_ms, why in (
        ((), JOINING, TRIAL_NETWORK_MS, "no network in time"),
        (
            (NO_WIFI,),
            JOINING,
            TRIAL_NETWORK_MS,
            "no network in time: network: Wi-Fi: wrong password",
        ),
        ((NO_WIFI, REFUSED), LINKING, TRIAL_LINK_MS, "no connection in time: connect: refused"),
        (
            (BAD_CA, NO_WIFI),
            LINKING,
            TRIAL_LINK_MS,
            "no connection in time: network: Wi-Fi: wrong password",
        ),
        ((BAD_LOGIN,), LOGGING_IN, TRIAL_LOGIN_MS, "no login in time: login: bad password"),
        (
            (BAD_LOGIN, DeadlineError("no answer")),
            LOGGING_IN,
            TRIAL_LOGIN_MS,
            "no login in time: connect: no answer",
        ),
    ):
        slots, it = trial()
        for error in errors:
            it.failed(error)
        assert it.step == step
        it.advance(1000 + limit_ms - 1)
        assert slots.why is None
        it.advance(1000 + limit_ms)
        assert slots.why == it.failure == why
        assert slots.confirmed == 0
        it.advance(1000 + limit_ms + 1)


def test_the_check_has_its_deadline_from_the_login_on():
    slots, it = trial()
    it.failed(REFUSED)
    it.online(400000)
    it.failed(BAD_CA)  # the link may go again meanwhile
    it.advance(400000 + TRIAL_CHECK_MS - 1)
    assert slots.why is None
    it.advance(400000 + TRIAL_CHECK_MS)
    assert slots.why == "no check in time: tls: unknown authority"


def test_an_error_from_before_the_login_is_not_told_for_the_check():
    slots, it = trial()
    it.failed(NO_WIFI)
    it.online(2000)
    it.advance(2000 + TRIAL_CHECK_MS)
    assert slots.why == "no check in time"


def test_the_applications_no_is_final():
    slots, it = trial()
    it.online(2000)
    it.refused("the application's check failed")
    assert slots.why == it.failure == "the application's check failed"
    it.checked()
    assert slots.confirmed == 0


def test_steps_go_forward_only():
    names = (JOINING, LINKING, LOGGING_IN, CHECKING, DONE)
    assert names == (0, 1, 2, 3, 4) and len(confirm.NEXT_STATES) == 5
    for step in names:
        for after in confirm.NEXT_STATES[step]:
            assert after > step
