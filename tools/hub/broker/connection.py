"""One MQTT connection: what a client sends, in order, and what it gets back.

A listener hands in a reader, a writer and, where its transport proves one, an identity. The first
packet must be a CONNECT that `Broker.login` accepts; from then on the packet type decides. Rules
the documents add to the standard (no QoS 2, will or retain) end the connection with a
recorded reason.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from tools.hub import events
from tools.hub.broker import packet as mqtt
from tools.hub.broker.context import Context
from tools.hub.broker.session import Session
from tools.hub.identity import parse_client_id
from tools.hub.login import ConnackCode, Refused
from tools.hub.permissions import Forbidden, check_publish, check_subscribe

READ_BYTES = 64 * 1024
_DRAIN_ABOVE_BYTES = 64 * 1024
_FIRST_BYTE = bytes((mqtt.CONNECT_FIRST_BYTE,))


class Broker(Protocol):
    """What a connection asks of the broker."""

    @property
    def context(self) -> Context: ...
    def login(
        self, connection: "Connection", connect: mqtt.Connect, proved_identity: str | None
    ) -> tuple[Session, bool]: ...
    def receive(self, session: Session, publish: mqtt.Publish) -> None: ...
    def leave(self, connection: "Connection") -> None: ...


class Connection:
    """Awaiting CONNECT while `session` is None, then connected, then closing."""

    def __init__(
        self,
        broker: Broker,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        proved_identity: str | None = None,
    ) -> None:
        self._broker = broker
        self._context = broker.context
        self._reader = reader
        self._writer = writer
        self._proved_identity = proved_identity
        self._packets = mqtt.PacketReader(self._context.config.max_packet_bytes)
        self._out: list[bytes] = []
        self._closing = False
        self._refused = False
        self._first_read = True
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._last_packet_at = self._loop.time()
        self._silence_limit_s = self._context.config.connect_timeout_s
        self._writes_held_until = 0.0
        self._blackholed = False
        self._bytes_until_drop: int | None = None
        self._aborted = asyncio.Event()
        self.session: Session | None = None
        # PID/DN once a client id names one, also for logins that are refused.
        self.device: str | None = None

    # The life of a connection.

    async def run(self) -> None:
        """Serve until either side closes."""
        self._arm_timer(self._silence_limit_s)
        try:
            await self._read_packets()
            self.close("the device closed the connection without DISCONNECT")
        except OSError as error:
            self.close(f"the connection broke: {type(error).__name__}")
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def close(self, reason: str) -> None:
        """Leave the broker now, and end the connection once what it already owes is sent."""
        if self._closing:
            return
        self._leave(reason)
        self._context.commits.hold(self)

    def abort(self, reason: str) -> None:
        """Leave the broker and end the connection at once, owing what it owes."""
        if not self._closing:
            self._leave(reason)
        self._out.clear()
        self._writer.transport.abort()
        self._aborted.set()

    def _leave(self, reason: str) -> None:
        self._closing = True
        if not self._refused:
            self._context.records.event(events.DISCONNECT, self.device, reason=reason)
        self._broker.leave(self)

    # Bytes in.

    async def _read_packets(self) -> None:
        while not self._closing:
            data = await self._reader.read(READ_BYTES)
            if not data:
                return
            if self._context.faults.armed or self._bytes_until_drop is not None:
                data = self._strike_input(data)
            if self._blackholed:
                await self._aborted.wait()
                return
            if self._first_read and data and data[:1] != _FIRST_BYTE:
                # Said at once, since what is no MQTT may never complete a packet.
                self.close("protocol violation: the first packet is CONNECT")
                return
            self._first_read = False
            self._packets.feed(data)
            try:
                for packet in self._packets.packets():
                    self._last_packet_at = self._loop.time()
                    self._handle(packet)
                    if self._closing:
                        return
            except mqtt.MalformedPacket as error:
                self.close(f"protocol violation: {error}")
                return
            if self._bytes_until_drop == 0:
                self.abort("a fault asked to drop the connection after this many bytes")
                return
            if self.unsent_bytes() > _DRAIN_ABOVE_BYTES:
                # Not reading from a client that does not read its acknowledgements.
                await self._writer.drain()

    def _handle(self, packet: mqtt.Packet) -> None:
        if self._context.faults.armed and self._strike_packet():
            return
        if self.session is not None:
            _HANDLERS[type(packet)](self, packet, self.session)
        elif isinstance(packet, mqtt.Connect):
            self._on_connect(packet)

    def _on_connect(self, connect: mqtt.Connect) -> None:
        identity = parse_client_id(connect.client_id)
        self.device = identity.path if identity else None
        try:
            if self._context.faults.armed:
                self._strike_login()
            session, present = self._broker.login(self, connect, self._proved_identity)
        except Refused as refused:
            self._context.records.event(
                events.REFUSED,
                self.device,
                code=refused.code,
                reason=refused.reason,
                client_id=connect.client_id[:80],
            )
            self.send(mqtt.encode_connack(refused.code))
            self._refused = True
            self.close(f"login refused: {refused.reason}")
            return
        self.session = session
        self._context.records.event(
            events.CONNECT,
            self.device,
            protocol_level=connect.protocol_level,
            clean_session=connect.clean_session,
            session_present=present,
            keepalive_s=connect.keepalive_s,
            peer=_peer_text(self._writer),
        )
        # MQTT 3.1 has no session-present flag; its reserved byte is 0.
        shown = present and connect.protocol_level == 4
        self.send(mqtt.encode_connack(ConnackCode.ACCEPTED, shown))
        self._silence_limit_s = connect.keepalive_s * 1.5
        self._arm_timer(self._silence_limit_s)
        session.resume()
        self.strike_now()

    def _on_publish(self, publish: mqtt.Publish, session: Session) -> None:
        context = self._context
        if publish.qos == 2:
            self.close("protocol violation: QoS 2 is not supported")
            return
        if publish.retain:
            self.close("protocol violation: retain is not supported")
            return
        product = context.registry.products[session.identity.product_id]
        try:
            check_publish(product.topics, session.identity, publish.topic)
        except Forbidden as forbidden:
            # MQTT 3.1.1 cannot refuse a publish: it is dropped, and acknowledged at QoS 1.
            context.records.event(
                events.DROP,
                session.device,
                direction="in",
                topic=publish.topic[:128],
                reason=str(forbidden),
            )
        else:
            self._broker.receive(session, publish)
        if publish.qos:
            self._acknowledge(publish.packet_id, session)

    def _acknowledge(self, packet_id: int, session: Session) -> None:
        if not self._context.faults.armed:
            self.send(mqtt.encode_puback(packet_id))
            return
        for delay_ms, acknowledged_id in self._context.faults.pubacks(session.device, packet_id):
            puback = mqtt.encode_puback(acknowledged_id)
            if delay_ms:
                self._loop.call_later(delay_ms / 1000, self.send, puback)
            else:
                self.send(puback)

    def _on_puback(self, puback: mqtt.Puback, session: Session) -> None:
        known = session.acknowledge(puback.packet_id)
        self._context.records.event(
            events.ACK, session.device, packet_id=puback.packet_id, known=known
        )

    def _on_subscribe(self, subscribe: mqtt.Subscribe, session: Session) -> None:
        codes = [self._grant(session, text, qos) for text, qos in subscribe.filters]
        faults = self._context.faults
        if faults.armed and faults.strikes("suback_failure", session.device):
            codes = [mqtt.SUBACK_FAILURE] * len(codes)
        self.send(mqtt.encode_suback(subscribe.packet_id, codes))

    def _grant(self, session: Session, topic_filter: str, requested_qos: int) -> int:
        """Subscribe to what a filter stands for; the SUBACK code. QoS 2 is granted as QoS 1."""
        qos = min(requested_qos, 1)
        product = self._context.registry.products[session.identity.product_id]
        detail: dict[str, Any] = {"filter": topic_filter[:128], "qos": qos}
        try:
            topics = check_subscribe(product.topics, session.identity, topic_filter)
            new = [topic for topic in topics if topic not in session.subscriptions]
            if len(session.subscriptions) + len(new) > self._context.config.max_subscriptions:
                raise Forbidden("too many subscriptions")
        except Forbidden as forbidden:
            self._context.records.event(
                events.SUBSCRIBE, session.device, **detail, refused=str(forbidden)
            )
            return mqtt.SUBACK_FAILURE
        for topic in topics:
            session.subscribe(topic, qos)
        self._context.records.event(events.SUBSCRIBE, session.device, **detail, topics=topics)
        return qos

    def _on_unsubscribe(self, unsubscribe: mqtt.Unsubscribe, session: Session) -> None:
        for topic_filter in unsubscribe.filters:
            gone = session.unsubscribe(topic_filter)
            self._context.records.event(
                events.UNSUBSCRIBE, session.device, filter=topic_filter[:128], topics=gone
            )
        self.send(mqtt.encode_unsuback(unsubscribe.packet_id))

    def _on_pingreq(self, _pingreq: mqtt.Pingreq, _session: Session) -> None:
        self.send(mqtt.PINGRESP_BYTES)

    def _on_disconnect(self, _disconnect: mqtt.Disconnect, _session: Session) -> None:
        self.close("DISCONNECT")

    def _on_second_connect(self, _connect: mqtt.Connect, _session: Session) -> None:
        self.close("protocol violation: a second CONNECT")

    def _on_qos2_reply(self, _reply: mqtt.QoS2Reply, _session: Session) -> None:
        self.close("protocol violation: QoS 2 is not supported")

    # Bytes out.

    def send(self, data: bytes) -> None:
        """Send after the next commit, with everything else that tick brings."""
        if not self._closing:
            self._out.append(data)
            self._context.commits.hold(self)

    def unsent_bytes(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    def release(self) -> None:
        """Write what was held for the commit; end the connection when it is closing."""
        if self._blackholed:
            self._out.clear()
        elif self._out:
            data = b"".join(self._out)
            self._out.clear()
            self._at_write_time(self._writer.write, data)
        if self._closing:
            self._at_write_time(self._finish)

    def _finish(self) -> None:
        if self._blackholed:
            self.abort("")
        if not self._writer.is_closing():
            self._writer.close()
            # A peer that never reads must not keep the socket.
            self._loop.call_later(self._context.config.linger_s, self._writer.transport.abort)

    def _at_write_time(self, action: Callable[..., None], *arguments: bytes) -> None:
        """Now, or when a fault that delays this connection allows it; always in order."""
        now = self._loop.time()
        if self._context.faults.armed and arguments:
            delay_s = self._context.faults.delay_ms("delay", self.device) / 1000
            self._writes_held_until = max(self._writes_held_until, now + delay_s)
        if self._writes_held_until > now:
            self._loop.call_at(self._writes_held_until, action, *arguments)
        else:
            action(*arguments)

    # Silence.

    def _arm_timer(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay_s > 0:
            self._timer = self._loop.call_later(delay_s, self._check_silence)

    def _check_silence(self) -> None:
        silent_s = self._loop.time() - self._last_packet_at
        if self._blackholed:
            return
        if silent_s < self._silence_limit_s:
            self._arm_timer(self._silence_limit_s - silent_s)
        elif self.session is None:
            self.close(f"no CONNECT within {self._silence_limit_s:g} s")
        else:
            self.close(f"silent for 1.5 times the keepalive ({self._silence_limit_s:g} s)")

    # Faults, asked for only while one is armed.

    def _strike_login(self) -> None:
        refusal = self._context.faults.take("connack", self.device)
        if refusal is not None:
            code = refusal["code"]
            raise Refused(code, f"a fault asked for CONNACK {code}")

    def _strike_packet(self) -> bool:
        if not self._context.faults.strikes("drop_at_packet", self.device):
            return False
        self.abort("a fault asked to drop the connection at the next packet")
        return True

    def _strike_input(self, data: bytes) -> bytes:
        """The part of what was received that a fault lets through."""
        self.strike_now()
        if self._bytes_until_drop is None:
            drop = self._context.faults.take("drop_after_bytes", self.device)
            if drop is None:
                return data
            self._bytes_until_drop = drop["bytes"]
        data = data[: self._bytes_until_drop]
        self._bytes_until_drop -= len(data)
        return data

    def strike_now(self) -> None:
        """Apply the faults that wait for no packet: when one is armed, and after a login."""
        faults = self._context.faults
        if not faults.armed or self._closing or self.session is None:
            return
        oversize = faults.take("oversize_publish", self.device)
        if oversize is not None:
            payload = bytes(oversize["payload_bytes"])
            self.send(mqtt.encode_publish(f"{self.device}/control", payload))
        blackhole = faults.take("blackhole", self.device)
        if blackhole is not None:
            self._blackholed = True
            self._loop.call_later(
                blackhole["duration_ms"] / 1000, self.abort, "a fault's black hole ended"
            )


_HANDLERS: dict[type, Callable[[Connection, Any, Session], None]] = {
    mqtt.Publish: Connection._on_publish,
    mqtt.Puback: Connection._on_puback,
    mqtt.Subscribe: Connection._on_subscribe,
    mqtt.Unsubscribe: Connection._on_unsubscribe,
    mqtt.Pingreq: Connection._on_pingreq,
    mqtt.Disconnect: Connection._on_disconnect,
    mqtt.Connect: Connection._on_second_connect,
    mqtt.QoS2Reply: Connection._on_qos2_reply,
}


def _peer_text(writer: asyncio.StreamWriter) -> str:
    peer = writer.get_extra_info("peername")
    return f"{peer[0]}:{peer[1]}" if peer else ""
