"""What a service is given, and what it is."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tools.hub import events
from tools.hub.broker.session import Outcome
from tools.hub.clock import HubClock
from tools.hub.config import HubConfig
from tools.hub.events import Records
from tools.hub.faults import Faults
from tools.hub.identity import Identity
from tools.hub.presence import Presence
from tools.hub.registry import Registry
from tools.hub.store import Store

# Sends a device a payload on a topic at a QoS at most, as it is subscribed.
Send = Callable[[Identity, str, bytes, int], Outcome]


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a service may use."""

    config: HubConfig
    clock: HubClock
    store: Store
    records: Records
    registry: Registry
    faults: Faults
    presence: Presence
    send: Send

    def record(self, device: Identity, topic: str, action: str, **detail: Any) -> None:
        """Record what a service did for a device, or why it did not."""
        self.records.event(events.SERVICE, device.path, topic=topic, action=action, **detail)

    def answer(self, device: Identity, topic: str, payload: bytes) -> None:
        """Answer a request at QoS 0, unless a fault keeps the answer."""
        if self.faults.armed:
            if self.faults.strikes("answer_withhold", device.path):
                return
            delay_ms = self.faults.delay_ms("answer_late", device.path)
            if delay_ms:
                loop = asyncio.get_running_loop()
                loop.call_later(delay_ms / 1000, self.send, device, topic, payload, 0)
                return
        self.send(device, topic, payload, 0)


class Service(Protocol):
    """Answers what devices publish to one family of topics."""

    def handle(self, device: Identity, topic: str, payload: bytes) -> None: ...
