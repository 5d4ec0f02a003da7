"""What differs from chip to chip, behind one set of names:

Network(settings)     the link: `await Network(...).up()` returns when IP works, raises LinkError
set_rtc(unix_s)       gives the chip's clock the time, for file dates and TLS
"""

import sys

if sys.platform == "esp32":
    from iothub.port.esp32 import Network, set_rtc
elif sys.platform == "rp2":
    from iothub.port.rp2 import Network, set_rtc
else:
    from iothub.port.unix import Network, set_rtc
