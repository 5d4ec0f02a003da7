"""What the device says on its serial console: one line an event, seconds since the start first."""

from time import gmtime, ticks_diff, ticks_ms

from iothub import device
from iothub.clock import epoch_offset_s
from iothub.mqtt import engine
from iothub.net import session

_started_ms = ticks_ms()


def say(text):
    elapsed_ms = ticks_diff(ticks_ms(), _started_ms)
    print("[%4d.%03d] %s" % (elapsed_ms // 1000, elapsed_ms % 1000, text))


def event(what, detail):
    """Device's on_event: what happens to the connection, in words."""
    if what == engine.ONLINE_AGAIN:
        say("online" + (", session resumed" if detail else ""))
    elif what == session.OFFLINE:
        say("offline: %s" % detail)
    elif what == device.CLOCK_SET:
        say("clock set to %04d-%02d-%02d %02d:%02d:%02d UTC" % _utc(detail // 1000))
    elif what == session.HANDLER_FAILED:
        say("a handler failed: %r" % detail)
    elif what == engine.OVERSIZE:
        say("skipped a packet of %d bytes" % detail)
    elif what == engine.FILTER_REFUSED:
        say("not allowed to subscribe to " + detail.pattern.decode())


def _utc(unix_s):
    return gmtime(unix_s - epoch_offset_s(gmtime(0)[0]))[:6]
