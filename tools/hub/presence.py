"""Which devices are online: by a connection of their own, or brought online by their gateway.

Document "设备状态监控": whoever wants to be notified of a change registers an observer.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple

from tools.hub import events
from tools.hub.clock import HubClock
from tools.hub.events import Records
from tools.hub.identity import Identity


class StateChange(NamedTuple):
    """A device came online or went offline at `at_ms` (hub time); `gateway` if by one."""

    device: Identity
    online: bool
    at_ms: int
    gateway: Identity | None


Observer = Callable[[StateChange], None]
_log = logging.getLogger("hub")


class Presence:
    """Kept in memory only: when the hub starts, nobody is online."""

    def __init__(self, clock: HubClock, records: Records) -> None:
        self._clock = clock
        self._records = records
        self._connected: set[Identity] = set()
        self._carried: dict[Identity, Identity] = {}
        # Called in this order, after the change; what one raises ends nobody's connection.
        self.observers: list[Observer] = []

    def is_online(self, device: Identity) -> bool:
        return device in self._connected or device in self._carried

    def is_connected(self, device: Identity) -> bool:
        """Whether it has a connection of its own."""
        return device in self._connected

    def online(self) -> list[Identity]:
        return [*self._connected, *self._carried]

    def gateway_of(self, device: Identity) -> Identity | None:
        """The gateway that brought a sub-device online."""
        return self._carried.get(device)

    def carried_by(self, gateway: Identity) -> list[Identity]:
        return [each for each, by in self._carried.items() if by == gateway]

    def connected(self, device: Identity) -> None:
        """A device logged in. One that its gateway had brought online now speaks for itself."""
        self.dropped(device)
        self._connected.add(device)
        self._tell(device, True, None)

    def disconnected(self, device: Identity) -> None:
        """Its connection ended, and with it the presence of its sub-devices."""
        for sub_device in self.carried_by(device):
            self.dropped(sub_device)
        self._connected.discard(device)
        self._tell(device, False, None)

    def carried(self, sub_device: Identity, gateway: Identity) -> None:
        """A gateway, itself online, brought a sub-device online."""
        if self._carried.get(sub_device) != gateway:
            self._carried[sub_device] = gateway
            self._tell(sub_device, True, gateway)

    def dropped(self, sub_device: Identity) -> None:
        """A sub-device is no longer online by its gateway, if it was."""
        gateway = self._carried.pop(sub_device, None)
        if gateway is not None:
            self._tell(sub_device, False, gateway)

    def _tell(self, device: Identity, online: bool, gateway: Identity | None) -> None:
        if gateway is not None:  # else the connection is recorded
            self._records.event(events.STATE, device.path, online=online, gateway=gateway.path)
        change = StateChange(device, online, self._clock.now_ms(), gateway)
        for observer in self.observers:
            try:
                observer(change)
            except Exception:
                _log.exception(
                    "telling that a device changed state", extra={"device": device.path}
                )
