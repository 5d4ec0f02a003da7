"""One device's session: its subscriptions and what it is owed, with or without a connection."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tools.hub import events
from tools.hub.broker.context import Context
from tools.hub.broker.encoder import encode_publish
from tools.hub.broker.journal import SessionJournal, write_nothing
from tools.hub.broker.outbound import Outbound, Owed
from tools.hub.broker.packet import Publish
from tools.hub.broker.subscriptions import Subscriptions
from tools.hub.identity import Identity

SENT, STORED, DROPPED = "sent", "stored", "dropped"


class Outcome(NamedTuple):
    """What became of a message for a device: sent, stored or dropped, and why."""

    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What a realm keeps for its clients: `max_outstanding` QoS 1 messages that are unacknowledged
    or stored, sent `stored_interval_ms` apart; a session for so long after its connection, and a
    message for as long as its topic says."""

    max_outstanding: int
    stored_interval_ms: int
    session_expiry_s: int
    max_age_ms: Callable[[str], int]


class Link(Protocol):
    """The connection a session is attached to."""

    def send(self, data: bytes) -> None: ...
    def unsent_bytes(self) -> int: ...
    def close(self, reason: str) -> None: ...


class Session:
    """Lives in memory; a persistent one is journalled, so that it survives the hub."""

    def __init__(
        self, context: Context, limits: SessionLimits, identity: Identity, persistent: bool
    ) -> None:
        self._context = context
        self._limits = limits
        self.identity = identity
        self.device = identity.path
        self.persistent = persistent
        self.subscriptions = Subscriptions()
        self.outbound = Outbound()
        self.link: Link | None = None
        self.offline_since_ms: int | None = None
        # Published when the connection ends without a DISCONNECT.
        self.will: Publish | None = None
        # QoS 2 publishes of the client that it has not released yet.
        self.received_ids: set[int] = set()
        self.journal = SessionJournal(
            self.device, context.store.later if persistent else write_nothing
        )
        self._next_stored: asyncio.TimerHandle | None = None

    def attach(self, link: Link) -> None:
        self.link = link
        self.offline_since_ms = None
        self.journal.online()

    def detach(self) -> None:
        """Go offline; what is owed stays owed."""
        self.link = None
        self._cancel_stored()
        self.offline_since_ms = self._context.clock.now_ms()
        self.journal.offline(self.offline_since_ms)

    def resume(self) -> None:
        """After a login: redeliver what is unacknowledged, then what is stored, at its pace."""
        self.expire_messages()
        for owed in list(self.outbound.in_flight.values()):
            self._transmit(owed, dup=True)
        self._send_stored()

    def subscribe(self, topic: str, qos: int) -> None:
        self.subscriptions.add(topic, qos)
        self.journal.subscribed(topic, qos)

    def unsubscribe(self, topic_filter: str) -> list[str]:
        """Drop the subscription that was made with this filter."""
        if not self.subscriptions.discard(topic_filter):
            return []
        self.journal.unsubscribed(topic_filter)
        return [topic_filter]

    def unsubscribe_matching(self, topic_filter: str) -> list[str]:
        """Drop what the filter names or matches; returns the topics."""
        gone = self.subscriptions.remove(topic_filter)
        for topic in gone:
            self.journal.unsubscribed(topic)
        return gone

    def receive_once(self, packet_id: int) -> bool:
        """Whether a QoS 2 publish with this id is new; it is remembered until released."""
        if packet_id in self.received_ids:
            return False
        self.received_ids.add(packet_id)
        self.journal.received(packet_id)
        return True

    def release(self, packet_id: int) -> None:
        """The client's PUBREL."""
        self.received_ids.discard(packet_id)
        self.journal.released(packet_id)

    def deliver(self, topic: str, payload: bytes, qos: int, retained: bool = False) -> Outcome:
        """Pass a message to the device at the lower of its QoS and the one granted."""
        granted = self.subscriptions.granted_qos(topic)
        if granted is None:
            return self._drop(topic, "not subscribed")
        if min(qos, granted) == 0:
            return self._deliver_at_most_once(topic, payload, retained)
        limit = self._limits.max_outstanding
        if len(self.outbound) >= limit:
            return self._drop(topic, f"{limit} messages are unacknowledged or stored already")
        number, now_ms = next(self._context.outbound_ids), self._context.clock.now_ms()
        owed = Owed(number, topic, payload, now_ms, retained=retained)
        if self.link is None or self.outbound.stored:
            # Behind what is stored, so that the order of messages holds.
            self.outbound.stored.append(owed)
            self.journal.owed(owed)
            return Outcome(STORED)
        self.outbound.send(owed)
        self.journal.owed(owed)
        self._transmit(owed)
        return Outcome(SENT)

    def acknowledge(self, packet_id: int) -> bool:
        """The device's PUBACK; False when nothing in flight has this packet id."""
        owed = self.outbound.acknowledge(packet_id)
        if owed is None:
            return False
        self.journal.settled(owed)
        return True

    def expire_messages(self) -> None:
        """Give up what has been owed for longer than the documents keep it."""
        now_ms, max_age_ms = self._context.clock.now_ms(), self._limits.max_age_ms
        for owed in self.outbound.expire(lambda o: now_ms - o.accepted_ms > max_age_ms(o.topic)):
            self.journal.settled(owed)
            self._drop(owed.topic, "stored for longer than the hub keeps messages")

    def _deliver_at_most_once(self, topic: str, payload: bytes, retained: bool) -> Outcome:
        if self.link is None:
            return self._drop(topic, "offline, and QoS 0 is never stored")
        if self.link.unsent_bytes() > self._context.config.max_unsent_bytes:
            return self._drop(topic, "the device does not read what it is sent")
        self._put(topic, payload, retained=retained)
        return Outcome(SENT)

    def _send_stored(self) -> None:
        self._next_stored = None
        if self.link is None or not self.outbound.stored:
            return
        owed = self.outbound.stored.popleft()
        self.outbound.send(owed)
        self.journal.sent(owed)
        self._transmit(owed)
        self._next_stored = asyncio.get_running_loop().call_later(
            self._limits.stored_interval_ms / 1000, self._send_stored
        )

    def _cancel_stored(self) -> None:
        if self._next_stored is not None:
            self._next_stored.cancel()
            self._next_stored = None

    def _transmit(self, owed: Owed, dup: bool = False) -> None:
        self._put(owed.topic, owed.payload, 1, owed.packet_id, dup, owed.retained)

    def _put(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        packet_id: int = 0,
        dup: bool = False,
        retained: bool = False,
    ) -> None:
        """Send one PUBLISH, or two when a fault says so, and record it."""
        if self.link is None:
            return
        context = self._context
        self.link.send(encode_publish(topic, payload, qos, packet_id, dup, retained))
        if context.faults.armed and context.faults.strikes("duplicate_publish", self.device):
            self.link.send(encode_publish(topic, payload, qos, packet_id, dup=qos > 0))
        context.records.event(
            events.PUBLISH_OUT,
            self.device,
            topic=topic,
            bytes=len(payload),
            qos=qos,
            packet_id=packet_id,
            dup=dup,
        )
        context.records.show("out", self.device, topic, payload, qos)

    def _drop(self, topic: str, reason: str) -> Outcome:
        self._context.records.event(
            events.DROP, self.device, direction="out", topic=topic, reason=reason
        )
        return Outcome(DROPPED, reason)
