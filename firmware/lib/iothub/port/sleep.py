"""Deep sleep: all but the chip's clock is off, and the program starts anew after it."""

import machine

from iothub.compat import const

# The RP2040 counts its microseconds in 32 bits.
_RP2_LONGEST_MS = const(4000000)


def rtc_memory():
    """A few bytes that an ESP32 keeps through deep sleep, not through a power cut: for what is
    written at each wake, which flash would not like. A function that gives them, or takes others;
    None where the chip has none."""
    rtc = getattr(machine, "RTC", None)
    return rtc().memory if hasattr(rtc, "memory") else None


def deep_sleep(ms):
    """Does not return: the chip wakes with a reset. The desk ends the program."""
    if not hasattr(machine, "deepsleep"):
        print("asleep for %d s" % (ms // 1000))
        raise SystemExit
    if rtc_memory() is None:
        while ms > _RP2_LONGEST_MS:
            machine.lightsleep(_RP2_LONGEST_MS)
            ms -= _RP2_LONGEST_MS
    machine.deepsleep(ms)
