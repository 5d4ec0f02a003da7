"""ESP32, -S3, -C3."""

from iothub.port.rtc import set_rtc
from iothub.port.wlan import Wlan as Network
