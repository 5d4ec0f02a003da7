"""One instance at work: its logins, and its messages from any client to every subscriber."""

from tools.hub import events
from tools.hub.broker.connection import Connection
from tools.hub.broker.context import Context
from tools.hub.broker.packet import Connect, Publish
from tools.hub.broker.realm import Realm
from tools.hub.broker.session import Session, SessionLimits
from tools.hub.identity import Identity
from tools.hub.iotmq.catalogue import MAX_MESSAGE_BYTES, MAX_TOPIC_BYTES, Instance
from tools.hub.iotmq.login import check_login
from tools.hub.iotmq.retained import Retained
from tools.hub.login import ConnackCode, Refused
from tools.hub.permissions import Forbidden
from tools.hub.topics import filter_fault, has_wildcard, matches

# A message of the greatest length with the longest topic, and its headers.
MAX_PACKET_BYTES = MAX_MESSAGE_BYTES + MAX_TOPIC_BYTES + 16
MAX_OUTSTANDING = 1000


class InstanceRealm(Realm):
    """MQTT 3.1.1 with what it offers, but on created topics only, and at most at QoS 1 to a
    subscriber, as a server may grant."""

    offers_all_of_mqtt = True

    def __init__(self, context: Context, instance: Instance) -> None:
        self._instance = instance
        self._retained = Retained(context.store, context.clock, instance)
        limits = SessionLimits(
            MAX_OUTSTANDING,
            stored_interval_ms=0,
            session_expiry_s=context.config.session_expiry_s,
            max_age_ms=self._max_age_ms,
        )
        super().__init__(context, limits, MAX_PACKET_BYTES, self._parse_name)

    def _max_age_ms(self, topic: str) -> int:
        return self._instance.topics[topic].life_time_s * 1000

    def _parse_name(self, name: str) -> Identity | None:
        instance_id, _, client_id = name.partition("/")
        own = instance_id == self._instance.instance_id
        return Identity(instance_id, client_id) if own else None

    def name(self, connect: Connect) -> Identity | None:
        return Identity(self._instance.instance_id, connect.client_id)

    def judge(self, connection: Connection, connect: Connect) -> Identity:
        identity = check_login(connect, self._instance)
        online, most = self.sessions.others_online(identity), self.context.config.max_connections
        if online >= most:
            raise Refused(ConnackCode.UNAVAILABLE, f"{online} other clients are online already")
        return identity

    def welcome(self, session: Session) -> None:
        """Nothing but the record of the connection."""

    def check_publish(self, session: Session, publish: Publish) -> None:
        topic = self._instance.topics.get(publish.topic)
        if topic is None:
            raise Forbidden("the instance has no such topic")
        if len(publish.payload) > topic.max_bytes:
            raise Forbidden(f"a message on this topic is at most {topic.max_bytes} bytes long")

    def resolve(self, session: Session, topic_filter: str) -> list[str]:
        fault = filter_fault(topic_filter)
        if fault is not None:
            raise Forbidden(fault)
        known = self._instance.topics
        if has_wildcard(topic_filter):
            if not any(matches(topic_filter, name) for name in known):
                raise Forbidden("the instance has no topic that this matches")
        elif topic_filter not in known:
            raise Forbidden("the instance has no such topic")
        return [topic_filter]

    def unsubscribe(self, session: Session, topic_filter: str) -> list[str]:
        return session.unsubscribe(topic_filter)

    def receive(self, session: Session, publish: Publish) -> None:
        self.record_publish(session.device, publish)
        if publish.retain:
            self._retained.keep(publish)
        for each in self.sessions:
            if each.subscriptions.granted_qos(publish.topic) is not None:
                each.deliver(publish.topic, publish.payload, publish.qos)

    def subscribed(self, session: Session, topics: list[str], qos: int) -> None:
        for topic_filter in topics:
            for topic, payload, retained_qos in self._retained.matching(topic_filter):
                session.deliver(topic, payload, min(qos, retained_qos), retained=True)

    def leave(self, connection: Connection) -> None:
        """Also publishes the will of a client that did not say DISCONNECT."""
        session = connection.session
        will = session.will if session is not None and session.link is connection else None
        super().leave(connection)
        if session is None or will is None:
            return
        session.will = None
        try:
            self.check_publish(session, will)
        except Forbidden as forbidden:
            self.context.records.event(
                events.DROP,
                session.device,
                direction="in",
                topic=will.topic,
                reason=f"will: {forbidden}",
            )
        else:
            self.receive(session, will)
