"""What a device that is logged in asks for, packet by packet, and what it is answered.

What the documents take from the standard (QoS 2, retain) ends the connection with a recorded
reason; a forbidden topic does not.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from tools.hub import events
from tools.hub.broker.context import Context
from tools.hub.broker.encoder import (
    PINGRESP_BYTES,
    SUBACK_FAILURE,
    encode_puback,
    encode_pubcomp,
    encode_pubrec,
    encode_suback,
    encode_unsuback,
)
from tools.hub.broker.packet import (
    PUBREL,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Publish,
    QoS2Reply,
    Subscribe,
    Unsubscribe,
)
from tools.hub.broker.session import Link, Session
from tools.hub.permissions import Forbidden

# How much of a topic or filter an event repeats.
_SHOWN_CHARS = 128


class Rules(Protocol):
    """What the realm says to a request (see `Realm`)."""

    @property
    def offers_all_of_mqtt(self) -> bool: ...
    def check_publish(self, session: Session, publish: Publish) -> None: ...
    def resolve(self, session: Session, topic_filter: str) -> list[str]: ...
    def unsubscribe(self, session: Session, topic_filter: str) -> list[str]: ...
    def receive(self, session: Session, publish: Publish) -> None: ...
    def subscribed(self, session: Session, topics: list[str], qos: int) -> None: ...


class Requests:
    """Answers one client over one connection."""

    def __init__(self, context: Context, session: Session, link: Link, rules: Rules) -> None:
        self._context = context
        self._session = session
        self._link = link
        self._rules = rules

    def handle(self, packet: Packet) -> None:
        _HANDLERS[type(packet)](self, packet)

    def _record(self, kind: str, **detail: Any) -> None:
        self._context.records.event(kind, self._session.device, **detail)

    def _on_publish(self, publish: Publish) -> None:
        if not self._rules.offers_all_of_mqtt:
            if publish.qos == 2:
                self._link.close("protocol violation: QoS 2 is not supported")
                return
            if publish.retain:
                self._link.close("protocol violation: retain is not supported")
                return
        if publish.qos == 2:
            if self._session.receive_once(publish.packet_id):
                self._accept(publish)
            self._link.send(encode_pubrec(publish.packet_id))
            return
        self._accept(publish)
        if publish.qos:
            self._acknowledge(publish.packet_id)

    def _accept(self, publish: Publish) -> None:
        try:
            self._rules.check_publish(self._session, publish)
        except Forbidden as forbidden:
            # MQTT 3.1.1 cannot refuse a publish: it is dropped, and acknowledged all the same.
            topic = publish.topic[:_SHOWN_CHARS]
            self._record(events.DROP, direction="in", topic=topic, reason=str(forbidden))
        else:
            self._rules.receive(self._session, publish)

    def _acknowledge(self, packet_id: int) -> None:
        faults = self._context.faults
        if not faults.armed:
            self._link.send(encode_puback(packet_id))
            return
        for delay_ms, acknowledged_id in faults.pubacks(self._session.device, packet_id):
            puback = encode_puback(acknowledged_id)
            if delay_ms:
                asyncio.get_running_loop().call_later(delay_ms / 1000, self._link.send, puback)
            else:
                self._link.send(puback)

    def _on_puback(self, puback: Puback) -> None:
        known = self._session.acknowledge(puback.packet_id)
        self._record(events.ACK, packet_id=puback.packet_id, known=known)

    def _on_subscribe(self, subscribe: Subscribe) -> None:
        granted = [self._grant(text, min(qos, 1)) for text, qos in subscribe.filters]
        codes = [code for code, _ in granted]
        faults = self._context.faults
        if faults.armed and faults.strikes("suback_failure", self._session.device):
            codes = [SUBACK_FAILURE] * len(codes)
        self._link.send(encode_suback(subscribe.packet_id, codes))
        for qos, topics in granted:
            self._rules.subscribed(self._session, topics, qos)

    def _grant(self, topic_filter: str, qos: int) -> tuple[int, list[str]]:
        """Subscribe to what a filter stands for: the SUBACK code and the subscriptions."""
        session = self._session
        shown = topic_filter[:_SHOWN_CHARS]
        try:
            topics = self._rules.resolve(session, topic_filter)
            new = [topic for topic in topics if topic not in session.subscriptions]
            if len(session.subscriptions) + len(new) > self._context.config.max_subscriptions:
                raise Forbidden("too many subscriptions")
        except Forbidden as forbidden:
            self._record(events.SUBSCRIBE, filter=shown, qos=qos, refused=str(forbidden))
            return SUBACK_FAILURE, []
        for topic in topics:
            session.subscribe(topic, qos)
        self._record(events.SUBSCRIBE, filter=shown, qos=qos, topics=topics)
        return qos, topics

    def _on_unsubscribe(self, unsubscribe: Unsubscribe) -> None:
        for topic_filter in unsubscribe.filters:
            gone = self._rules.unsubscribe(self._session, topic_filter)
            self._record(events.UNSUBSCRIBE, filter=topic_filter[:_SHOWN_CHARS], topics=gone)
        self._link.send(encode_unsuback(unsubscribe.packet_id))

    def _on_pingreq(self, _pingreq: Pingreq) -> None:
        self._link.send(PINGRESP_BYTES)

    def _on_disconnect(self, _disconnect: Disconnect) -> None:
        self._session.will = None
        self._link.close("DISCONNECT")

    def _on_second_connect(self, _connect: Connect) -> None:
        self._link.close("protocol violation: a second CONNECT")

    def _on_qos2_reply(self, reply: QoS2Reply) -> None:
        if not self._rules.offers_all_of_mqtt:
            self._link.close("protocol violation: QoS 2 is not supported")
        elif reply.type == PUBREL:
            self._session.release(reply.packet_id)
            self._link.send(encode_pubcomp(reply.packet_id))
        else:
            self._link.close("protocol violation: nothing was sent at QoS 2")


_HANDLERS: dict[type, Callable[[Requests, Any], None]] = {
    Publish: Requests._on_publish,
    Puback: Requests._on_puback,
    Subscribe: Requests._on_subscribe,
    Unsubscribe: Requests._on_unsubscribe,
    Pingreq: Requests._on_pingreq,
    Disconnect: Requests._on_disconnect,
    Connect: Requests._on_second_connect,
    QoS2Reply: Requests._on_qos2_reply,
}
