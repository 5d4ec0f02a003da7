"""ESP32, -S3, -C3."""

from iothub.port.rtc import rtc_unix_s, set_rtc
from iothub.port.state import storage
from iothub.port.watchdog import feed, watch
from iothub.port.wlan import Wlan as Network
