"""Wi-Fi as a station, for every chip with network.WLAN."""

import asyncio
from time import ticks_diff, ticks_ms

import network

from iothub.errors import NETWORK, BadInput, LinkError
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


class Wlan:
    """`settings`: {"ssid": ..., "password": ...}, the configuration's "network"."""

    def __init__(self, settings):
        self._ssid = settings.get("ssid")
        self._password = settings.get("password", "")
        if not isinstance(self._ssid, str) or not 0 < len(self._ssid.encode()) <= 32:
            raise BadInput("network.ssid", "must be 1 to 32 bytes")
        if self._password and not 8 <= len(self._password) <= 64:
            raise BadInput("network.password", "must be 8 to 64 characters")
        self._wlan = network.WLAN(network.STA_IF)

    async def up(self):
        """Joins the network if it is not joined. Raises LinkError with the reason in words."""
        wlan = self._wlan
        if wlan.isconnected():
            return
        wlan.active(True)
        wlan.connect(self._ssid, self._password)
        started_ms = ticks_ms()
        while not wlan.isconnected():
            await asyncio.sleep_ms(WIFI_POLL_MS)
            reason = _REASONS.get(wlan.status())
            if reason is None and ticks_diff(ticks_ms(), started_ms) > WIFI_JOIN_MS:
                reason = "no connection in time"
            if reason is not None:
                wlan.disconnect()
                raise LinkError("Wi-Fi: " + reason, NETWORK, 113)
