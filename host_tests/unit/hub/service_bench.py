"""The hub's `$...` services by themselves: no broker, no sockets, a clock that a test moves."""

import json
from itertools import count
from typing import Any

from tools.hub.broker.session import DROPPED, SENT, Outcome
from tools.hub.clock import HubClock
from tools.hub.config import HubConfig
from tools.hub.events import Records
from tools.hub.faults import Faults
from tools.hub.identity import Identity
from tools.hub.presence import Presence
from tools.hub.registry import Device, Registry
from tools.hub.services import Services
from tools.hub.services.context import ServiceContext
from tools.hub.store import Store

START_MS = 1_700_000_000_000


class BenchClock(HubClock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.moved_ms = START_MS

    def now_ms(self) -> int:
        return self.moved_ms


class ServiceBench:
    """`sent` is what the services sent: (device, topic, JSON, QoS). A database that is given
    outlives the bench, as the hub's does the hub."""

    def __init__(self, database: str = ":memory:", **settings: Any) -> None:
        self._names = count(1)
        self.clock = BenchClock()
        self.store = Store(database)
        self.records = Records(self.store, self.clock)
        self.registry = Registry(self.store, self.clock, self.records)
        self.faults = Faults(self.records)
        self.presence = Presence(self.clock, self.records)
        self.sent: list[tuple[Identity, str, Any, int]] = []
        self.context = ServiceContext(
            HubConfig(**settings),
            self.clock,
            self.store,
            self.records,
            self.registry,
            self.faults,
            self.presence,
            self.send,
        )
        self.services = Services(self.context)

    def send(self, device: Identity, topic: str, payload: bytes, qos: int) -> Outcome:
        if not self.presence.is_online(device):
            return Outcome(DROPPED, "offline")
        assert len(topic) + len(payload) < 16 * 1024 - 7, "this fits in no packet"
        self.sent.append((device, topic, _shown(payload), qos))
        return Outcome(SENT)

    def new_device(self, kind: str = "normal", auth: str = "key", online: bool = True) -> Device:
        """A device of a product of its own."""
        number = next(self._names)
        product = self.registry.add_product(f"product {number}", auth, kind)
        device = self.registry.add_device(product.product_id, f"dev{number}")
        if online:
            self.presence.connected(device.identity)
        return device

    def ask(self, family: str, device: Identity, request: Any, process_id: str = "") -> Any:
        """What a device is answered to a request (JSON, or bytes as they are); None: nothing."""
        topic = f"${family}/operation/{device.path}{process_id}"
        payload = request if isinstance(request, bytes) else json.dumps(request).encode()
        before = len(self.sent)
        self.services.by_family[family].handle(device, topic, payload)
        answers = self.sent[before:]
        if not answers:
            return None
        ((to, answer_topic, answer, qos),) = answers
        assert (to, answer_topic, qos) == (device, f"${family}/operation/result/{device.path}", 0)
        return answer

    def actions(self, device: Identity) -> list[dict[str, Any]]:
        """The details of what services recorded for a device."""
        rows = self.store.query(
            "SELECT detail FROM event WHERE device = ? AND kind = 'service' ORDER BY id",
            (device.path,),
        )
        return [json.loads(detail) for (detail,) in rows]


def _shown(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload
