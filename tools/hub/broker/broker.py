"""The hub's own realm: its devices' logins, and the way of each message."""

from collections.abc import Mapping

from tools.hub import events
from tools.hub.broker.connection import Connection
from tools.hub.broker.context import Context
from tools.hub.broker.packet import Connect, Publish
from tools.hub.broker.realm import Realm
from tools.hub.broker.session import DROPPED, Outcome, Session, SessionLimits
from tools.hub.identity import Identity, parse_client_id, parse_path
from tools.hub.login import ConnackCode, Credentials, Refused, check_login
from tools.hub.permissions import check_publish, check_subscribe, published_family
from tools.hub.services import build_services
from tools.hub.services.context import Service, ServiceContext
from tools.hub.topics import is_system


class Broker(Realm):
    """Devices come in by `serve`, the application by `send`."""

    def __init__(self, context: Context) -> None:
        config = context.config
        limits = SessionLimits(
            config.max_outstanding,
            config.stored_interval_ms,
            config.session_expiry_s,
            lambda _topic: config.message_expiry_s * 1000,
        )
        super().__init__(context, limits, config.max_packet_bytes, parse_path)
        self._services: Mapping[str, Service] = build_services(
            ServiceContext(context.clock, context.records, context.faults, self._reply)
        )

    # What a connection asks.

    def name(self, connect: Connect) -> Identity | None:
        return parse_client_id(connect.client_id)

    def judge(self, connection: Connection, connect: Connect) -> Identity:
        config = self.context.config
        if not connect.supported:
            raise Refused(
                ConnackCode.BAD_PROTOCOL_LEVEL,
                f"protocol level {connect.protocol_level} is neither 3 (MQIsdp) nor 4 (MQTT)",
            )
        credentials = Credentials(
            connect.client_id,
            connect.user_name,
            connect.password,
            connection.transport,
            connection.proof,
        )
        identity = check_login(credentials, self.context.registry, self.context.clock.now_s())
        # The standard has no code for what this service does not offer; 5 says: not like this.
        if connect.will is not None:
            raise Refused(ConnackCode.NOT_AUTHORISED, "a will is not supported")
        if connect.keepalive_s > config.max_keepalive_s:
            raise Refused(
                ConnackCode.NOT_AUTHORISED,
                f"keepalive {connect.keepalive_s} s is over {config.max_keepalive_s} s",
            )
        online = self.sessions.online()
        if online >= config.max_connections:
            raise Refused(ConnackCode.UNAVAILABLE, f"{online} devices are online already")
        return identity

    def welcome(self, session: Session) -> None:
        self.context.registry.note_login(session.identity)

    def check_publish(self, session: Session, publish: Publish) -> None:
        topics = self.context.registry.products[session.identity.product_id].topics
        check_publish(topics, session.identity, publish.topic)

    def resolve(self, session: Session, topic_filter: str) -> list[str]:
        topics = self.context.registry.products[session.identity.product_id].topics
        return check_subscribe(topics, session.identity, topic_filter)

    def unsubscribe(self, session: Session, topic_filter: str) -> list[str]:
        return session.unsubscribe_matching(topic_filter)

    def subscribed(self, session: Session, topics: list[str], qos: int) -> None:
        """Nothing is retained for it."""

    def receive(self, session: Session, publish: Publish) -> None:
        self.record_publish(session.device, publish)
        self._pass_on(session.identity, publish)

    def publish_as(self, identity: Identity, publish: Publish, by: str) -> None:
        """A device's publish that came another way than MQTT: `by` http, coap or the application.

        Its identity was proved, or given, there. Raises Forbidden for a topic it may not use.
        """
        topics = self.context.registry.products[identity.product_id].topics
        check_publish(topics, identity, publish.topic)
        self.record_publish(identity.path, publish, by=by)
        self._pass_on(identity, publish)

    def _pass_on(self, identity: Identity, publish: Publish) -> None:
        topic, payload = publish.topic, publish.payload
        if not is_system(topic):
            session = self.sessions.get(identity)
            if session is not None and session.subscriptions.granted_qos(topic) is not None:
                session.deliver(topic, payload, publish.qos)
            return
        family = published_family(identity, topic)
        service = self._services.get(family.name) if family else None
        if service is None:
            self.context.records.event(
                events.SERVICE, identity.path, topic=topic, action="no such service yet"
            )
        else:
            service.handle(identity, topic, payload)

    # What the application and the services ask.

    def send(self, identity: Identity, topic: str, payload: bytes, qos: int) -> Outcome:
        """Pass a message to one device; the caller has checked that it may receive it."""
        session = self.sessions.get(identity)
        if session is None:
            reason = "offline without a persistent session"
            self.context.records.event(
                events.DROP, identity.path, direction="out", topic=topic, reason=reason
            )
            return Outcome(DROPPED, reason)
        return session.deliver(topic, payload, qos)

    def _reply(self, identity: Identity, topic: str, payload: bytes, qos: int) -> None:
        self.send(identity, topic, payload, qos)

    def sweep(self) -> None:
        """Age sessions, messages and records."""
        super().sweep()
        config = self.context.config
        self.context.records.sweep(config.max_recorded_events, config.max_recorded_messages)
