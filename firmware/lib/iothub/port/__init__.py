"""What differs from chip to chip, behind one set of names:

Network(settings)     the link, as port/interface.py describes it
set_rtc(unix_s)       gives the chip's clock the time, for file dates and TLS
rtc_unix_s()          what the chip's clock says, right or not
storage()             where state is kept over a reset (port/files.py)
watch(timeout_ms)     starts the watchdog; BadInput for more than the chip can count
feed()                feeds it; nothing happens before watch()
for_updates()         what updates need of the chip (port/updates.py)
"""

import sys

if sys.platform in ("esp32", "rp2"):
    from iothub.port.chip import Network, feed, rtc_unix_s, set_rtc, storage, watch
else:
    from iothub.port.unix import Network, feed, rtc_unix_s, set_rtc, storage, watch


def for_updates():
    """Loaded on first use: many devices never update."""
    from iothub.port import updates

    return updates
