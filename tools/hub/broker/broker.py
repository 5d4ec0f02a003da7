"""Where connections, sessions and services meet: logins, and the way of each message."""

import logging
from collections.abc import Iterator, Mapping

from tools.hub import events
from tools.hub.broker.connection import Connection
from tools.hub.broker.context import Context
from tools.hub.broker.packet import Connect, Publish
from tools.hub.broker.session import DROPPED, Outcome, Session
from tools.hub.broker.sessions import Sessions
from tools.hub.identity import Identity
from tools.hub.login import ConnackCode, Credentials, Refused, check_login
from tools.hub.permissions import published_family
from tools.hub.services import build_services
from tools.hub.services.context import Service, ServiceContext
from tools.hub.topics import is_system
from tools.hub.transport.stream import Stream

_log = logging.getLogger("hub")
# Above the devices that may be online, so that one more can be told CONNACK 3.
SPARE_CONNECTIONS = 32


class Broker:
    """Every listener hands its connections to `serve`; the application comes in by `send`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.sessions = Sessions(context)
        self.connections: set[Connection] = set()
        self._services: Mapping[str, Service] = build_services(
            ServiceContext(context.clock, context.records, context.faults, self._reply)
        )

    async def serve(self, stream: Stream, transport: str) -> None:
        """Serve one connection to its end. `transport` is its listener's name."""
        if len(self.connections) >= self.context.config.max_connections + SPARE_CONNECTIONS:
            _log.warning("connection refused: %d are open", len(self.connections))
            stream.abort()
            return
        connection = Connection(self, stream, transport)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)

    def logged_in(self) -> Iterator[Connection]:
        return (each for each in list(self.connections) if each.session is not None)

    # What a connection asks.

    def login(self, connection: Connection, connect: Connect) -> tuple[Session, bool]:
        """Judge a CONNECT and attach its session; says whether it was present. Raises Refused."""
        context = self.context
        identity = self._judge(connection, connect)
        session = self.sessions.get(identity)
        if session is not None and session.link is not None:
            session.link.close("taken over by a new connection with the same client id")
        session = self.sessions.get(identity)
        faults = context.faults
        if (
            session is not None
            and faults.armed
            and faults.strikes("forget_session", identity.path)
        ):
            self.sessions.forget(session, "a fault asked for it")
        session, present = self.sessions.open(identity, connect.clean_session)
        session.attach(connection)
        context.registry.note_login(identity)
        return session, present

    def _judge(self, connection: Connection, connect: Connect) -> Identity:
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
        if connect.has_will:
            raise Refused(ConnackCode.NOT_AUTHORISED, "a will is not supported")
        if connect.keepalive_s > config.max_keepalive_s:
            raise Refused(
                ConnackCode.NOT_AUTHORISED,
                f"keepalive {connect.keepalive_s} s is over {config.max_keepalive_s} s",
            )
        online = sum(1 for session in self.sessions if session.link is not None)
        if online >= config.max_connections:
            raise Refused(ConnackCode.UNAVAILABLE, f"{online} devices are online already")
        return identity

    def receive(self, session: Session, publish: Publish) -> None:
        """A permitted publish of a device: record it, then let it reach whoever it is for."""
        records, device = self.context.records, session.device
        topic, payload, qos = publish.topic, publish.payload, publish.qos
        records.event(
            events.PUBLISH_IN,
            device,
            topic=topic,
            bytes=len(payload),
            qos=qos,
            packet_id=publish.packet_id,
            dup=publish.dup,
        )
        records.message(device, topic, payload, qos, publish.dup)
        records.show("in", device, topic, payload, qos)
        if not is_system(topic):
            if session.subscriptions.granted_qos(topic) is not None:
                session.deliver(topic, payload, qos)
            return
        family = published_family(session.identity, topic)
        service = self._services.get(family.name) if family else None
        if service is None:
            records.event(events.SERVICE, device, topic=topic, action="no such service yet")
        else:
            service.handle(session.identity, topic, payload)

    def leave(self, connection: Connection) -> None:
        """A connection ends; its session stays or goes, as the login asked."""
        session = connection.session
        if session is not None and session.link is connection:
            self.sessions.close(session)

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
        self.sessions.sweep()
        config = self.context.config
        self.context.records.sweep(config.max_recorded_events, config.max_recorded_messages)

    def shut_down(self) -> None:
        """Close every connection; persistent sessions are kept."""
        for connection in list(self.connections):
            connection.close("the hub shuts down")
        self.context.commits.run()
