"""A network that is not the board's own Wi-Fi: Ethernet, a modem.

    import network
    from iothub.port.interface import Interface

    lan = network.LAN(...)          # the pins are the board's
    device = Device.from_file("device.json", network=Interface(lan))

Whatever else brings a network up can be given in its place. It has
  up()       coroutine: returns when IP works; at once when it does. Raises LinkError
  status()   in words, for make doctor
  down()     switches it off before deep sleep
"""

from iothub.errors import NETWORK, LinkError
from iothub.loading import for_now


class Interface:
    """`nic`: anything of MicroPython's `network` with active(), isconnected() and status(), as
    LAN, WIZNET5K and PPP. `told(what, detail)` hears NETWORK_UP (port/joining.py)."""

    def __init__(self, nic, told=None):
        self._nic = nic
        self._told = told

    async def up(self):
        """Switches it on and waits, if it is not connected. Raises LinkError."""
        nic = self._nic
        if nic.isconnected():
            return
        joining = for_now("iothub.port.joining")
        nic.active(True)
        if hasattr(nic, "connect"):  # a modem dials
            nic.connect()
        reason = await joining.wait(nic)
        if reason is not None:
            nic.active(False)
            raise LinkError("network: " + reason, NETWORK, 113)
        joining.tell(self._told, nic)

    def status(self):
        """In words."""
        return for_now("iothub.port.joining").described(self._nic)

    def down(self):
        self._nic.active(False)
