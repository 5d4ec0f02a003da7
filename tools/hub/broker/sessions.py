"""Every session there is: opened by logins, kept for a day, restored when the hub starts."""

from collections.abc import Callable, Iterator

from tools.hub import events
from tools.hub.broker.context import Context
from tools.hub.broker.outbound import Owed
from tools.hub.broker.session import Session, SessionLimits
from tools.hub.identity import Identity


class Sessions:
    """Sessions by device. Clean ones are here only while their device is connected."""

    def __init__(
        self,
        context: Context,
        limits: SessionLimits,
        parse_name: Callable[[str], Identity | None],
    ) -> None:
        """`parse_name` gives None for the names of sessions that are not kept here."""
        self._context = context
        self._limits = limits
        self._sessions: dict[Identity, Session] = {}
        self._restore(parse_name)

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._sessions.values()))

    def others_online(self, identity: Identity) -> int:
        """How many are connected besides this one, whose own connection a login takes over."""
        online = (each for each in self._sessions.values() if each.link is not None)
        return sum(1 for session in online if session.identity != identity)

    def get(self, identity: Identity) -> Session | None:
        return self._sessions.get(identity)

    def open(self, identity: Identity, clean: bool) -> tuple[Session, bool]:
        """The session a login gets, and whether it was present before."""
        session = self._sessions.get(identity)
        if session is not None and (clean or self._is_over(session)):
            self.forget(session, "clean login" if clean else "expired")
            session = None
        if session is not None:
            return session, True
        session = Session(self._context, self._limits, identity, not clean)
        self._sessions[identity] = session
        return session, False

    def close(self, session: Session) -> None:
        """The session's connection ended."""
        session.detach()
        if not session.persistent:
            self._sessions.pop(session.identity, None)

    def forget(self, session: Session, reason: str) -> None:
        """End a session with all it is subscribed to and owed."""
        session.journal.forget()
        self._sessions.pop(session.identity, None)
        self._context.records.event(
            events.SESSION,
            session.device,
            action="ended",
            reason=reason,
            subscriptions=len(session.subscriptions),
            owed=len(session.outbound),
        )

    def sweep(self) -> None:
        """End what has been offline too long; give up messages that are too old."""
        for session in self:
            if self._is_over(session):
                self.forget(session, "expired")
            else:
                session.expire_messages()

    def _is_over(self, session: Session) -> bool:
        if session.offline_since_ms is None:
            return False
        offline_ms = self._context.clock.now_ms() - session.offline_since_ms
        return offline_ms >= self._limits.session_expiry_s * 1000

    def _restore(self, parse_name: Callable[[str], Identity | None]) -> None:
        store, now_ms = self._context.store, self._context.clock.now_ms()
        for device, offline_since_ms in store.query("SELECT * FROM session"):
            identity = parse_name(device)
            if identity is None:
                continue
            session = Session(self._context, self._limits, identity, True)
            # Null when the hub ended without a shutdown: the device was connected until then.
            session.offline_since_ms = now_ms if offline_since_ms is None else offline_since_ms
            session.journal.offline(session.offline_since_ms)
            self._sessions[identity] = session
        by_device = {session.device: session for session in self}
        for device, topic, qos in store.query("SELECT * FROM subscription"):
            if device in by_device:
                by_device[device].subscriptions.add(topic, qos)
        for row_id, device, topic, payload, packet_id, *rest in store.query(
            "SELECT * FROM outbound ORDER BY id"
        ):
            if device in by_device:
                accepted_ms, retained = rest
                owed = Owed(row_id, topic, payload, accepted_ms, packet_id or 0, bool(retained))
                by_device[device].outbound.restore(owed)
        for device, packet_id in store.query("SELECT * FROM received"):
            if device in by_device:
                by_device[device].received_ids.add(packet_id)
