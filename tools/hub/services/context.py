"""What a service is given, and what it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tools.hub.clock import HubClock
from tools.hub.events import Records
from tools.hub.faults import Faults
from tools.hub.identity import Identity

# Sends a payload on a topic to a device at a QoS.
Reply = Callable[[Identity, str, bytes, int], None]


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a service may use: the clock, the records, the faults, and a way to answer."""

    clock: HubClock
    records: Records
    faults: Faults
    reply: Reply


class Service(Protocol):
    """Answers what devices publish to one family of topics."""

    def handle(self, device: Identity, topic: str, payload: bytes) -> None: ...
