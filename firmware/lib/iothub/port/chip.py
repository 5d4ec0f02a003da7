"""A board with Wi-Fi: ESP32 and its kin, Pico W, Pico 2 W. MicroPython makes them alike."""

from iothub.port.files import Files
from iothub.port.rtc import rtc_unix_s, set_rtc
from iothub.port.watchdog import feed, watch
from iothub.port.wlan import Wlan as Network

_FOLDER = "/state"  # of the flash file system


def storage():
    return Files(_FOLDER)
