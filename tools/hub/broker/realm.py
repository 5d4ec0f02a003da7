"""Connections and sessions under one set of rules: the hub's devices, or an IoT MQ instance."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from tools.hub import events
from tools.hub.broker.connection import Connection
from tools.hub.broker.context import Context
from tools.hub.broker.packet import Connect, Publish
from tools.hub.broker.session import Session, SessionLimits
from tools.hub.broker.sessions import Sessions
from tools.hub.identity import Identity
from tools.hub.transport.stream import Stream

_log = logging.getLogger("hub")
# Above the devices that may be online, so that one more can be told CONNACK 3.
SPARE_CONNECTIONS = 32


class Realm(ABC):
    """Every listener hands its connections to `serve`."""

    # Whether QoS 2, retained messages and wills are offered, as the standard has them.
    offers_all_of_mqtt = False

    def __init__(
        self,
        context: Context,
        limits: SessionLimits,
        max_packet_bytes: int,
        parse_name: Callable[[str], Identity | None],
    ) -> None:
        """`parse_name` knows the names of this realm's sessions from another's."""
        self.context = context
        self.max_packet_bytes = max_packet_bytes
        self.sessions = Sessions(context, limits, parse_name)
        self.connections: set[Connection] = set()

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

    def login(self, connection: Connection, connect: Connect) -> tuple[Session, bool]:
        """Judge a CONNECT and attach its session; says whether it was present. Raises Refused."""
        identity = self.judge(connection, connect)
        session = self.sessions.get(identity)
        if session is not None and session.link is not None:
            session.link.close("taken over by a new connection with the same client id")
        session = self.sessions.get(identity)
        faults = self.context.faults
        if (
            session is not None
            and faults.armed
            and faults.strikes("forget_session", identity.path)
        ):
            self.sessions.forget(session, "a fault asked for it")
        session, present = self.sessions.open(identity, connect.clean_session)
        session.attach(connection)
        session.will = connect.will
        self.welcome(session)
        return session, present

    def leave(self, connection: Connection) -> None:
        """A connection ends; its session stays or goes, as the login asked."""
        session = connection.session
        if session is not None and session.link is connection:
            self.sessions.close(session)

    def sweep(self) -> None:
        """Age sessions and messages."""
        self.sessions.sweep()

    def shut_down(self) -> None:
        """Close every connection; persistent sessions are kept."""
        for connection in list(self.connections):
            connection.close("the hub shuts down")
        self.context.commits.run()

    def record_publish(self, device: str, publish: Publish, **detail: str) -> None:
        """Keep what a client published, and show it to whoever watches."""
        records = self.context.records
        topic, payload, qos = publish.topic, publish.payload, publish.qos
        records.event(
            events.PUBLISH_IN,
            device,
            topic=topic,
            bytes=len(payload),
            qos=qos,
            packet_id=publish.packet_id,
            dup=publish.dup,
            **detail,
        )
        records.message(device, topic, payload, qos, publish.dup)
        records.show("in", device, topic, payload, qos)

    # The rules.

    @abstractmethod
    def name(self, connect: Connect) -> Identity | None:
        """Whom a CONNECT claims to be from, for the record."""

    @abstractmethod
    def judge(self, connection: Connection, connect: Connect) -> Identity:
        """Whose session a CONNECT gets. Raises Refused."""

    @abstractmethod
    def welcome(self, session: Session) -> None:
        """A login succeeded; its CONNACK leaves with what this records."""

    @abstractmethod
    def check_publish(self, session: Session, publish: Publish) -> None:
        """Raise Forbidden for what is to be dropped."""

    @abstractmethod
    def resolve(self, session: Session, topic_filter: str) -> list[str]:
        """The subscriptions a filter stands for. Raises Forbidden."""

    @abstractmethod
    def unsubscribe(self, session: Session, topic_filter: str) -> list[str]:
        """Drop subscriptions; returns them."""

    @abstractmethod
    def receive(self, session: Session, publish: Publish) -> None:
        """A permitted publish: record it, then let it reach whoever it is for."""

    @abstractmethod
    def subscribed(self, session: Session, topics: list[str], qos: int) -> None:
        """The client is told that it has these subscriptions."""
