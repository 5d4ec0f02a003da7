"""Wi-Fi as a station, for every chip with network.WLAN."""

import network

from iothub.errors import BadInput
from iothub.loading import let_go


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
        # Loaded for as long as it takes.
        from iothub.port.joining import join

        try:
            await join(wlan, self._ssid, self._password)
        finally:
            let_go("iothub.port.joining")
