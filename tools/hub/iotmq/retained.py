"""The last retained message of each topic of an instance, as long as its life time lasts."""

from collections.abc import Iterator

from tools.hub.broker.packet import Publish
from tools.hub.clock import HubClock
from tools.hub.iotmq.catalogue import Instance
from tools.hub.store import Store
from tools.hub.topics import matches


class Retained:
    """Held in memory, written through with the transaction of the publish that brought it."""

    def __init__(self, store: Store, clock: HubClock, instance: Instance) -> None:
        self._store = store
        self._clock = clock
        self._instance = instance
        self._messages: dict[str, tuple[bytes, int, int]] = {
            topic: rest
            for topic, *rest in store.query(
                "SELECT topic, payload, qos, accepted_ms FROM iotmq_retained "
                "WHERE instance_id = ?",
                (instance.instance_id,),
            )
        }

    def keep(self, publish: Publish) -> None:
        """Replace what the topic retained; an empty payload only removes it."""
        key = (self._instance.instance_id, publish.topic)
        if not publish.payload:
            self._messages.pop(publish.topic, None)
            self._store.later(
                "DELETE FROM iotmq_retained WHERE instance_id = ? AND topic = ?", key
            )
            return
        message = (publish.payload, publish.qos, self._clock.now_ms())
        self._messages[publish.topic] = message
        self._store.later(
            "INSERT OR REPLACE INTO iotmq_retained VALUES (?, ?, ?, ?, ?)", (*key, *message)
        )

    def matching(self, topic_filter: str) -> Iterator[tuple[str, bytes, int]]:
        """Topic, payload and QoS of what is retained for a new subscription."""
        now_ms = self._clock.now_ms()
        for topic, (payload, qos, accepted_ms) in self._messages.items():
            lasts_ms = self._instance.topics[topic].life_time_s * 1000
            if now_ms - accepted_ms <= lasts_ms and matches(topic_filter, topic):
                yield topic, payload, qos
