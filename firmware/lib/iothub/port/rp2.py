"""RP2040 and RP2350 with a radio: Pico W, Pico 2 W."""

from iothub.port.rtc import rtc_unix_s, set_rtc
from iothub.port.state import storage
from iothub.port.watchdog import feed, watch
from iothub.port.wlan import Wlan as Network
