"""What differs from chip to chip, behind one set of names:

Network(settings)     the link: `await Network(...).up()` returns when IP works, raises LinkError
set_rtc(unix_s)       gives the chip's clock the time, for file dates and TLS
rtc_unix_s()          what the chip's clock says, right or not
storage()             where state is kept over a reset (port/files.py)
"""

import sys

if sys.platform == "esp32":
    from iothub.port.esp32 import Network, rtc_unix_s, set_rtc, storage
elif sys.platform == "rp2":
    from iothub.port.rp2 import Network, rtc_unix_s, set_rtc, storage
else:
    from iothub.port.unix import Network, rtc_unix_s, set_rtc, storage
