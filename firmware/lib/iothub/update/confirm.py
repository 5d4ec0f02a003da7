"""Whether a new version is good: it must get through all steps in time. Pure; the driver is
net/updates.py."""

from iothub.compat import const
from iothub.errors import LOGIN, NETWORK, StorageError
from iothub.timeouts import TRIAL_CHECK_MS, TRIAL_LINK_MS, TRIAL_LOGIN_MS, TRIAL_NETWORK_MS

# Steps of a trial.
JOINING = const(0)  # the network
LINKING = const(1)  # TCP, and TLS where there is any
LOGGING_IN = const(2)
CHECKING = const(3)  # the application's own check
DONE = const(4)
NEXT_STATES = (
    (LINKING, LOGGING_IN, CHECKING, DONE),
    (LOGGING_IN, CHECKING, DONE),
    (CHECKING, DONE),
    (DONE,),
    (),
)
# From the start until the step must be over; the check begins with the login.
_DEADLINES_MS = (TRIAL_NETWORK_MS, TRIAL_LINK_MS, TRIAL_LOGIN_MS, TRIAL_CHECK_MS)
_NAMES = ("network", "connection", "login", "check")


class Trial:
    """Of what runs now. `slots`: update.slots.Slots; `ticks_diff(later, earlier)` in ms. `failure`
    is why it was given up (str), None before."""

    def __init__(self, slots, ticks_diff, now_ms):
        self._slots = slots
        self._ticks_diff = ticks_diff
        self._since_ms = now_ms
        self._error = ""
        self.step = JOINING
        self.failure = None

    def failed(self, error):
        """An attempt to connect ended with this IoTHubError: its phase tells how far it came."""
        self._error = "%s: %s" % (error.phase, error.reason)
        if error.phase == LOGIN:
            self._reach(LOGGING_IN)
        elif error.phase != NETWORK:
            self._reach(LINKING)

    def online(self, now_ms):
        """Logged in: what is left is the application's check. Whether it is to begin now."""
        if self.step >= CHECKING:
            return False
        self._reach(CHECKING)
        self._since_ms = now_ms
        self._error = ""
        return True

    def checked(self):
        """The application says that it works, or has nothing to check."""
        if self.step == CHECKING:
            self._slots.confirm()
            self.step = DONE

    def refused(self, why):
        """The application says that it does not work."""
        if self.step != DONE:
            self.step = DONE
            self.failure = why
            try:
                self._slots.give_up(why)
            except StorageError:
                pass  # it is restarted all the same, and its starts are counted

    def advance(self, now_ms):
        """Gives up what takes too long."""
        if self.step != DONE:
            late_ms = self._ticks_diff(now_ms, self._since_ms) - _DEADLINES_MS[self.step]
            if late_ms >= 0:
                why = "no %s in time" % _NAMES[self.step]
                self.refused(why + ": " + self._error if self._error else why)

    def _reach(self, step):
        if step in NEXT_STATES[self.step]:
            self.step = step
