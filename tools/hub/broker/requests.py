"""What a device that is logged in asks for, packet by packet, and what it is answered.

Rules the documents add to the standard (no QoS 2, no retain) end the connection with a recorded
reason; a forbidden topic does not.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from tools.hub import events
from tools.hub.broker.context import Context
from tools.hub.broker.encoder import (
    PINGRESP_BYTES,
    SUBACK_FAILURE,
    encode_puback,
    encode_suback,
    encode_unsuback,
)
from tools.hub.broker.packet import (
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
from tools.hub.permissions import Forbidden, ProductTopics, check_publish, check_subscribe

# How much of a topic or filter an event repeats.
_SHOWN_CHARS = 128
Receive = Callable[[Session, Publish], None]


class Requests:
    """Answers one device over one connection. `receive` gets each publish that is permitted."""

    def __init__(self, context: Context, session: Session, link: Link, receive: Receive) -> None:
        self._context = context
        self._session = session
        self._link = link
        self._receive = receive

    def handle(self, packet: Packet) -> None:
        _HANDLERS[type(packet)](self, packet)

    def _topics(self) -> ProductTopics:
        return self._context.registry.products[self._session.identity.product_id].topics

    def _record(self, kind: str, **detail: Any) -> None:
        self._context.records.event(kind, self._session.device, **detail)

    def _on_publish(self, publish: Publish) -> None:
        if publish.qos == 2:
            self._link.close("protocol violation: QoS 2 is not supported")
            return
        if publish.retain:
            self._link.close("protocol violation: retain is not supported")
            return
        try:
            check_publish(self._topics(), self._session.identity, publish.topic)
        except Forbidden as forbidden:
            # MQTT 3.1.1 cannot refuse a publish: it is dropped, and acknowledged at QoS 1.
            topic = publish.topic[:_SHOWN_CHARS]
            self._record(events.DROP, direction="in", topic=topic, reason=str(forbidden))
        else:
            self._receive(self._session, publish)
        if publish.qos:
            self._acknowledge(publish.packet_id)

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
        codes = [self._grant(text, qos) for text, qos in subscribe.filters]
        faults = self._context.faults
        if faults.armed and faults.strikes("suback_failure", self._session.device):
            codes = [SUBACK_FAILURE] * len(codes)
        self._link.send(encode_suback(subscribe.packet_id, codes))

    def _grant(self, topic_filter: str, requested_qos: int) -> int:
        """Subscribe to what a filter stands for; the SUBACK code. QoS 2 is granted as QoS 1."""
        session, qos = self._session, min(requested_qos, 1)
        shown = topic_filter[:_SHOWN_CHARS]
        try:
            topics = check_subscribe(self._topics(), session.identity, topic_filter)
            new = [topic for topic in topics if topic not in session.subscriptions]
            if len(session.subscriptions) + len(new) > self._context.config.max_subscriptions:
                raise Forbidden("too many subscriptions")
        except Forbidden as forbidden:
            self._record(events.SUBSCRIBE, filter=shown, qos=qos, refused=str(forbidden))
            return SUBACK_FAILURE
        for topic in topics:
            session.subscribe(topic, qos)
        self._record(events.SUBSCRIBE, filter=shown, qos=qos, topics=topics)
        return qos

    def _on_unsubscribe(self, unsubscribe: Unsubscribe) -> None:
        for topic_filter in unsubscribe.filters:
            gone = self._session.unsubscribe(topic_filter)
            self._record(events.UNSUBSCRIBE, filter=topic_filter[:_SHOWN_CHARS], topics=gone)
        self._link.send(encode_unsuback(unsubscribe.packet_id))

    def _on_pingreq(self, _pingreq: Pingreq) -> None:
        self._link.send(PINGRESP_BYTES)

    def _on_disconnect(self, _disconnect: Disconnect) -> None:
        self._link.close("DISCONNECT")

    def _on_second_connect(self, _connect: Connect) -> None:
        self._link.close("protocol violation: a second CONNECT")

    def _on_qos2_reply(self, _reply: QoS2Reply) -> None:
        self._link.close("protocol violation: QoS 2 is not supported")


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
