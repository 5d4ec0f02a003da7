"""Wi-Fi as a station, for every chip with network.WLAN."""

import network

from iothub.compat import const
from iothub.errors import BadInput
from iothub.loading import let_go

_MAX_NETWORKS = const(8)


class Wlan:
    """`settings`: the configuration's "network", {"ssid": ..., "password": ...} or a list of such,
    of which the strongest that lets us in is joined. `told(what, detail)` hears NETWORK_UP."""

    def __init__(self, settings, told=None):
        known = settings if isinstance(settings, list) else [settings]
        if not 0 < len(known) <= _MAX_NETWORKS:
            raise BadInput("network", "must be 1 to %d networks" % _MAX_NETWORKS)
        for each in known:
            ssid = isinstance(each, dict) and each.get("ssid")
            if not isinstance(ssid, str) or not 0 < len(ssid.encode()) <= 32:
                raise BadInput("network.ssid", "must be 1 to 32 bytes")
            password = each.get("password", "")
            if password != "" and (type(password) is not str or not 8 <= len(password) <= 64):
                raise BadInput("network.password", "must be 8 to 64 characters")
        self._known = known
        self._told = told
        self._wlan = network.WLAN(network.STA_IF)

    async def up(self):
        """Joins a network if none is joined. Raises LinkError with the reason in words."""
        wlan = self._wlan
        if wlan.isconnected():
            return
        # Loaded for as long as it takes.
        from iothub.port import joining

        try:
            await joining.join(wlan, self._known)
            joining.tell(self._told, wlan)
        finally:
            let_go("iothub.port.joining")

    def status(self):
        """In words: which network, how strong, which address."""
        from iothub.port import joining

        try:
            return joining.described(self._wlan)
        finally:
            let_go("iothub.port.joining")

    def down(self):
        """Switches the radio off, until up()."""
        self._wlan.active(False)
