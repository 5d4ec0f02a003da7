"""The hub's own realm: its devices' logins, and the way of each message."""

from collections.abc import Callable

from tools.hub import events
from tools.hub.broker.connection import Connection
from tools.hub.broker.context import Context
from tools.hub.broker.packet import Connect, Publish
from tools.hub.broker.realm import Realm
from tools.hub.broker.session import DROPPED, Outcome, Session, SessionLimits
from tools.hub.identity import Identity, parse_client_id, parse_path
from tools.hub.login import ConnackCode, Credentials, Refused, check_login
from tools.hub.ota.messages import OtaMessages
from tools.hub.ota.updates import Updates
from tools.hub.permissions import (
    ProductTopics,
    check_publish,
    check_subscribe,
    owner_of,
    published_family,
)
from tools.hub.presence import Presence, StateChange
from tools.hub.services import Services
from tools.hub.services.context import ServiceContext
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
        # Told of each permitted publish of a device, after it is recorded.
        self.observers: list[Callable[[Identity, Publish], None]] = []
        self.presence = Presence(context.clock, context.records)
        self.presence.observers.append(self._forget_topics)
        service_context = ServiceContext(
            config,
            context.clock,
            context.store,
            context.records,
            context.registry,
            context.faults,
            self.presence,
            self.send,
        )
        self.updates = Updates(service_context)
        self.services = Services(
            service_context, {"ota": OtaMessages(service_context, self.updates)}
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
        online = self.sessions.others_online(identity)
        if online >= config.max_connections:
            raise Refused(ConnackCode.UNAVAILABLE, f"{online} other devices are online already")
        return identity

    def welcome(self, session: Session) -> None:
        # What the hub did not live to forget, if it was killed.
        for topic, _ in list(session.subscriptions.items()):
            if owner_of(topic) != session.identity:
                session.unsubscribe(topic)
        self.context.registry.note_login(session.identity)
        self.presence.connected(session.identity)

    def leave(self, connection: Connection) -> None:
        session = connection.session
        left = session is not None and session.link is connection
        super().leave(connection)
        if session is not None and left:
            self.presence.disconnected(session.identity)

    def check_publish(self, session: Session, publish: Publish) -> None:
        user = self._user(session, publish.topic)
        check_publish(self._topics(user), user, publish.topic)

    def resolve(self, session: Session, topic_filter: str) -> list[str]:
        user = self._user(session, topic_filter)
        return check_subscribe(self._topics(user), user, topic_filter)

    def unsubscribe(self, session: Session, topic_filter: str) -> list[str]:
        return session.unsubscribe_matching(topic_filter)

    def subscribed(self, session: Session, topics: list[str], qos: int) -> None:
        """Nothing is retained for it."""

    def receive(self, session: Session, publish: Publish) -> None:
        user = self._user(session, publish.topic)
        via = {} if user == session.identity else {"gateway": session.device}
        self.record_publish(user.path, publish, **via)
        self._pass_on(user, publish)

    def publish_as(self, identity: Identity, publish: Publish, by: str) -> None:
        """A device's publish that came another way than MQTT: `by` http, coap or the application.

        Its identity was proved, or given, there. Raises Forbidden for a topic it may not use.
        """
        check_publish(self._topics(identity), identity, publish.topic)
        self.record_publish(identity.path, publish, by=by)
        self._pass_on(identity, publish)

    def _pass_on(self, identity: Identity, publish: Publish) -> None:
        for observer in self.observers:
            observer(identity, publish)
        topic, payload = publish.topic, publish.payload
        if not is_system(topic):
            session = self._session_of(identity)
            if session is not None and session.subscriptions.granted_qos(topic) is not None:
                session.deliver(topic, payload, publish.qos)
            return
        family = published_family(identity, topic)
        service = self.services.by_family.get(family.name) if family else None
        if service is None:
            self.context.records.event(
                events.SERVICE, identity.path, topic=topic, action="no such service yet"
            )
        else:
            service.handle(identity, topic, payload)

    # What the application and the services ask.

    def drop(self, identity: Identity, reason: str) -> None:
        """End a device's connection, if it has one, or its presence by a gateway."""
        self.presence.dropped(identity)
        session = self.sessions.get(identity)
        if session is not None and session.link is not None:
            session.link.close(reason)

    def send(self, identity: Identity, topic: str, payload: bytes, qos: int) -> Outcome:
        """Pass a message to one device; the caller has checked that it may receive it."""
        session = self._session_of(identity)
        if session is None:
            reason = "offline without a persistent session"
            self.context.records.event(
                events.DROP, identity.path, direction="out", topic=topic, reason=reason
            )
            return Outcome(DROPPED, reason)
        return session.deliver(topic, payload, qos)

    def subscriptions(self, identity: Identity) -> list[tuple[str, int]]:
        """What a device is subscribed to, itself or by the gateway that brought it online, with
        the QoS granted."""
        session = self._session_of(identity)
        granted = session.subscriptions.items() if session is not None else ()
        return [(topic, qos) for topic, qos in granted if owner_of(topic) == identity]

    # Sub-devices, whose messages pass through the session of their gateway.

    def _user(self, session: Session, topic: str) -> Identity:
        """Whose topic a client uses: its own, or that of a sub-device it brought online."""
        own = session.identity
        if self.context.registry.products[own.product_id].kind == "gateway":
            owner = owner_of(topic)
            if owner is not None and self.presence.gateway_of(owner) == own:
                return owner
        return own

    def _session_of(self, identity: Identity) -> Session | None:
        return self.sessions.get(self.presence.gateway_of(identity) or identity)

    def _topics(self, identity: Identity) -> ProductTopics:
        return self.context.registry.products[identity.product_id].topics

    def _forget_topics(self, change: StateChange) -> None:
        """A sub-device went offline: its gateway may use its topics no longer."""
        if change.online or change.gateway is None:
            return
        session = self.sessions.get(change.gateway)
        if session is not None:
            for topic, _ in list(session.subscriptions.items()):
                if owner_of(topic) == change.device:
                    session.unsubscribe(topic)

    def sweep(self) -> None:
        """Age sessions, messages and records."""
        super().sweep()
        config = self.context.config
        self.context.records.sweep(config.max_recorded_events, config.max_recorded_messages)
