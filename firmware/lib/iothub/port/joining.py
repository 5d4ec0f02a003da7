"""Joins a Wi-Fi network."""

import asyncio
from time import ticks_diff, ticks_ms

from iothub.errors import NETWORK, LinkError
from iothub.timeouts import WIFI_JOIN_MS, WIFI_POLL_MS

# WLAN.status() in words: the rp2 port's numbers, then the ESP32's (ESP-IDF reason codes).
_REASONS = {
    -1: "connection failed",
    -2: "no such network; check the ssid",
    -3: "wrong password",
    201: "no such network; check the ssid",
    202: "wrong password",
    203: "association failed",
    204: "wrong password or weak signal",
}


async def join(wlan, ssid, password):
    """`wlan` is a network.WLAN. Raises LinkError with the reason in words."""
    wlan.active(True)
    wlan.connect(ssid, password)
    started_ms = ticks_ms()
    while not wlan.isconnected():
        await asyncio.sleep_ms(WIFI_POLL_MS)
        reason = _REASONS.get(wlan.status())
        if reason is None and ticks_diff(ticks_ms(), started_ms) > WIFI_JOIN_MS:
            reason = "no connection in time"
        if reason is not None:
            wlan.disconnect()
            raise LinkError("Wi-Fi: " + reason, NETWORK, 113)
