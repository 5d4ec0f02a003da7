"""What one session is subscribed to. Pure."""

from collections.abc import ItemsView

from tools.hub.topics import filter_fault, has_wildcard, matches


class Subscriptions:
    """Topics and filters with the QoS granted; one subscribed again takes the new QoS.

    A device's wildcards never get here: they are resolved into topics when subscribed, as the
    cloud does. Only `$rrpc/rxd/PID/DN/+` stays a filter, since its topics cannot be listed.
    """

    def __init__(self) -> None:
        self._granted: dict[str, int] = {}
        self._filters: set[str] = set()

    def __len__(self) -> int:
        return len(self._granted)

    def __contains__(self, topic: str) -> bool:
        return topic in self._granted

    def items(self) -> ItemsView[str, int]:
        return self._granted.items()

    def add(self, topic: str, qos: int) -> None:
        self._granted[topic] = qos
        if has_wildcard(topic):
            self._filters.add(topic)

    def discard(self, topic_filter: str) -> bool:
        """Drop the subscription made with exactly this filter; whether there was one."""
        self._filters.discard(topic_filter)
        return self._granted.pop(topic_filter, None) is not None

    def remove(self, topic_filter: str) -> list[str]:
        """Drop every subscription the filter names or matches; returns them."""
        if filter_fault(topic_filter) is not None:
            return []
        gone = [topic for topic in self._granted if matches(topic_filter, topic)]
        for topic in gone:
            del self._granted[topic]
            self._filters.discard(topic)
        return gone

    def granted_qos(self, topic: str) -> int | None:
        """The QoS a message on `topic` is delivered with at most; None when not subscribed."""
        granted = [self._granted[each] for each in self._filters if matches(each, topic)]
        if topic in self._granted:
            granted.append(self._granted[topic])
        return max(granted, default=None)
