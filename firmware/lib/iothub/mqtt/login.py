"""What the engine does seldom: it logs in, and asks for subscriptions. Loaded for each such moment
and let go of (iothub.loading), so these are functions of an Engine and not its methods."""

from iothub.compat import const
from iothub.errors import BadInput, LoginRefused, ProtocolError
from iothub.mqtt import engine as mqtt
from iothub.mqtt import packet, rare_packets

_MAX_SUBSCRIPTIONS = const(32)


def connect(engine, client_id, username, password, will):
    """A link is up: sends CONNECT."""
    engine._rx_used = 0
    engine._skip = 0
    engine._acks_used = 0
    engine._pinged_at = None
    engine._received_at = engine._now
    engine.state = mqtt.LOGGING_IN
    engine._send(
        rare_packets.connect(
            client_id, engine.keepalive_s, engine.clean_session, username, password, will
        )
    )


def take_connack(engine, flags, code):
    """The server's answer to CONNECT; on a good one, what the last link left undone. Raises
    ProtocolError and LoginRefused."""
    if flags > 1:
        raise ProtocolError("CONNACK flags")
    if code:
        engine.state = mqtt.CLOSED
        raise LoginRefused("refused by the server (CONNACK %d)" % code, None, code)
    engine.state = mqtt.ONLINE
    present = flags == 1 and not engine.clean_session
    if not present:
        engine._unwanted.clear()
        for subscription in engine.subscriptions:
            subscription.granted = None
    lost = engine._had_session and not present
    engine._had_session = not engine.clean_session
    if engine._unwanted:
        _request_unsubscribe(engine, list(engine._unwanted))
    missing = [s for s in engine.subscriptions if s.granted is None]
    if missing:
        _request_subscribe(engine, missing)
    for record in engine.in_flight:
        record.packet[0] |= packet.DUP
        record.sent_at = engine._now
        engine._send(record.packet)
    # Last, since who hears it may publish, and that comes after what was in flight.
    if lost:
        engine._driver.report(mqtt.SESSION_LOST, None)
    engine._driver.report(mqtt.ONLINE_AGAIN, present)


def subscribe(engine, pattern, qos, handler, takes_view):
    """See Engine. Raises BadInput when there are too many."""
    found = None
    for subscription in engine.subscriptions:
        if subscription.pattern == pattern:
            found = subscription
    if found is None:
        if len(engine.subscriptions) >= _MAX_SUBSCRIPTIONS:
            raise BadInput("topic", "at most %d subscriptions" % _MAX_SUBSCRIPTIONS)
        found = mqtt.Subscription()
        found.pattern = pattern
        # As rules.has_wildcard(), which would be one more file, and one on the stack.
        found.wildcard = b"+" in pattern or b"#" in pattern
        engine.subscriptions.append(found)
        if pattern in engine._unwanted:
            engine._unwanted.remove(pattern)
    found.handler = handler
    found.takes_view = takes_view
    found.qos = qos
    found.granted = None
    if engine.state == mqtt.ONLINE:
        _request_subscribe(engine, [found])
    return found


def unsubscribe(engine, pattern):
    """See Engine."""
    for subscription in engine.subscriptions:
        if subscription.pattern == pattern:
            engine.subscriptions.remove(subscription)
            unwanted = engine._unwanted
            # Until the server has said so, also over the end of this link.
            if not engine.clean_session and pattern not in unwanted:
                if len(unwanted) >= _MAX_SUBSCRIPTIONS:
                    unwanted.pop(0)
                unwanted.append(pattern)
            if engine.state == mqtt.ONLINE:
                _request_unsubscribe(engine, [pattern])
            return


def take_answer(engine, kind, packet_id, codes):
    """A SUBACK (packet type 9) with its codes, or an UNSUBACK (11). Raises ProtocolError."""
    asked = packet.SUBSCRIBE if kind == 9 else packet.UNSUBSCRIBE
    requests = engine.requests_waiting
    for request in requests:
        if request.packet_id == packet_id and request.packet[0] & 0xF0 == asked:
            break
    else:
        engine._driver.report(mqtt.STRAY_ACK, packet_id)
        return
    requests.remove(request)  # first, since who hears a report may disconnect
    if kind == 9:
        _granted(engine, request.token, codes)
        return
    for pattern in request.token:
        # It may have been taken and dropped again meanwhile.
        if pattern in engine._unwanted and not any([pattern in r.token for r in requests]):
            engine._unwanted.remove(pattern)


def _granted(engine, subscriptions, codes):
    if len(codes) != len(subscriptions):
        raise ProtocolError("SUBACK for %d of %d" % (len(codes), len(subscriptions)))
    for i in range(len(subscriptions)):
        code = codes[i]
        if code > 1 and code != 128:
            raise ProtocolError("SUBACK code %d" % code)
        subscriptions[i].granted = code
        what = mqtt.FILTER_REFUSED if code == 128 else mqtt.FILTER_GRANTED
        engine._driver.report(what, subscriptions[i])


def _request_subscribe(engine, subscriptions):
    packet_id = engine._next_packet_id()
    filters = [(s.pattern, s.qos) for s in subscriptions]
    _request(engine, packet_id, rare_packets.subscribe(packet_id, filters), subscriptions)


def _request_unsubscribe(engine, patterns):
    packet_id = engine._next_packet_id()
    _request(engine, packet_id, rare_packets.unsubscribe(packet_id, patterns), patterns)


def _request(engine, packet_id, buf, token):
    engine.requests_waiting.append(mqtt.InFlight(packet_id, buf, token, None, engine._now))
    engine._send(buf)
