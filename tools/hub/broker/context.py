"""What every part of the broker works with."""

from collections.abc import Iterator
from dataclasses import dataclass

from tools.hub.broker.commit import CommitCycle
from tools.hub.clock import HubClock
from tools.hub.config import HubConfig
from tools.hub.events import Records
from tools.hub.faults import Faults
from tools.hub.registry import Registry
from tools.hub.store import Store


@dataclass(frozen=True, slots=True)
class Context:
    config: HubConfig
    clock: HubClock
    store: Store
    records: Records
    registry: Registry
    faults: Faults
    commits: CommitCycle
    # Numbers the messages that sessions owe.
    outbound_ids: Iterator[int]
