"""Wi-Fi as a station, for every chip with network.WLAN."""

from iothub.loading import for_now


class Wlan:
    """`settings`: the configuration's "network", {"ssid": ..., "password": ...} or a list of such,
    of which the strongest that lets us in is joined. `told(what, detail)` hears NETWORK_UP."""

    def __init__(self, settings, told=None):
        import network

        self._known = for_now("iothub.port.joining").checked(settings)
        self._told = told
        self._wlan = network.WLAN(network.STA_IF)

    async def up(self):
        """Joins a network if none is joined. Raises LinkError with the reason in words."""
        wlan = self._wlan
        if wlan.isconnected():
            return
        joining = for_now("iothub.port.joining")
        await joining.join(wlan, self._known)
        joining.tell(self._told, wlan)

    def status(self):
        """In words: which network, how strong, which address."""
        return for_now("iothub.port.joining").described(self._wlan)

    def down(self):
        """Switches the radio off, until up()."""
        self._wlan.active(False)
