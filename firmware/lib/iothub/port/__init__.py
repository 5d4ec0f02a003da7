"""What differs from chip to chip, behind one set of names:

Network(settings)     the link, as port/interface.py describes it
set_rtc(unix_s)       gives the chip's clock the time, for file dates and TLS
rtc_unix_s()          what the chip's clock says, right or not
storage()             where state is kept over a reset (port/files.py)
watch(timeout_ms)     starts the watchdog; BadInput for more than the chip can count
feed()                feeds it; nothing happens before watch()
for_updates()         what updates need of the chip (port/updates.py)

All but the link loads on first use: few devices need all of it.
"""

import sys

from iothub import _find

if sys.platform in ("esp32", "rp2"):
    from iothub.port.wlan import Wlan as Network

    _HOME = {
        "set_rtc": "rtc",
        "rtc_unix_s": "rtc",
        "storage": "files",
        "watch": "watchdog",
        "feed": "watchdog",
    }
else:
    from iothub.port.unix import Network, feed, rtc_unix_s, set_rtc, storage, watch

    _HOME: dict = {}


def __getattr__(name):
    return _find("iothub.port.", _HOME, name)


def for_updates():
    from iothub.port import updates

    return updates
