"""The chip's real-time clock, alike on every chip with machine.RTC."""

import time

from machine import RTC

from iothub.clock import epoch_offset_s


def set_rtc(unix_s):
    """Gives the chip's clock the time: file dates and TLS read it."""
    epoch_year = time.gmtime(0)[0]
    year, month, day, hour, minute, second, weekday, _ = time.gmtime(
        unix_s - epoch_offset_s(epoch_year)
    )
    RTC().datetime((year, month, day, weekday, hour, minute, second, 0))


def rtc_unix_s():
    """What the chip's clock says, right or not."""
    return int(time.time()) + epoch_offset_s(time.gmtime(0)[0])
