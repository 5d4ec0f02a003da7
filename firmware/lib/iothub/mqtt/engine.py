"""The MQTT 3.1.1 client as a machine without I/O: bytes and elapsed time in, bytes and decisions
out. Two drivers run it, net/session.py (asyncio) and net/mqtt.py (blocking).

The driver hands itself in. The engine calls, and the driver has:
  write(buf, size)              send the first `size` bytes of buf, or keep a copy to send next
  deliver(subscription, topic, payload)  a message: bytes and a memoryview that dies on return;
                                subscription is None when none matches; a false answer means
                                "not taken": a QoS 1 message is not acknowledged, unless the
                                driver calls acknowledge(received_id) later
  acknowledged(token)           the QoS 1 publish that was given this token arrived
  report(what, detail)          something worth telling (the constants below)
Errors that end the link are raised from connect(), received() and advance().
"""

from iothub import topics
from iothub.compat import const
from iothub.errors import KEEPALIVE, LOGIN, PUBLISH, DeadlineError, ProtocolError
from iothub.loading import for_now
from iothub.mqtt import packet
from iothub.timeouts import ACKNOWLEDGE_MS, CONNACK_MS, PINGRESP_MS

# What report() tells, with its detail.
ONLINE_AGAIN = const(1)  # CONNACK 0; whether the server kept the session
SESSION_LOST = const(2)  # a session we relied on is gone; subscriptions are being repaired
OVERSIZE = const(3)  # a packet over the cap was skipped; its size in bytes
STRAY_ACK = const(4)  # an acknowledgement for an id that is not waiting; the id
FILTER_REFUSED = const(5)  # SUBACK 0x80; the subscription
FILTER_GRANTED = const(6)  # SUBACK 0 or 1; the subscription

# States, and which packets the server may send in each: bit n stands for packet type n (2 CONNACK,
# 3 PUBLISH, 4 PUBACK, 9 SUBACK, 11 UNSUBACK, 13 PINGRESP).
CLOSED = const(0)
LOGGING_IN = const(1)
ONLINE = const(2)
LEGAL_PACKETS = (0, 1 << 2, 1 << 3 | 1 << 4 | 1 << 9 | 1 << 11 | 1 << 13)

_MAX_PACKET_BYTES = const(16384)
# QoS 1 publishes in flight; one whole message always fits.
_MAX_WINDOW = const(20)
_MAX_WINDOW_BYTES = const(8192)

_RX_BYTES = const(1024)
_RX_GROWN_BYTES = const(_MAX_PACKET_BYTES + 5)
_TX_BYTES = const(256)
_ACKS_BYTES = const(80)
# The engine's own clock: 29 bits of milliseconds stay a small integer on the chip, so that
# comparing times allocates nothing. It wraps after six days; all ages compared are far shorter.
_CLOCK_MASK = const(0x1FFFFFFF)


class Subscription:
    """A filter (bytes), its handler, and the QoS the server granted: None until it answered,
    128 when it refused. `takes_view`: the handler takes a payload that dies when it returns."""

    pattern: bytes
    wildcard: bool
    qos: int
    handler = None
    takes_view = False
    granted = None


class InFlight:
    """A packet without its acknowledgement: a QoS 1 publish, with the packet to send again, and
    the queue's `entry` if it came from there; or a request for `token`, a list of Subscriptions
    or of filters that are unsubscribed."""

    def __init__(self, packet_id, packet, token, entry, sent_at):
        self.packet_id = packet_id
        self.packet = packet
        self.token = token
        self.entry = entry
        self.sent_at = sent_at


class Engine:
    """One client. `queue` is one of store/."""

    def __init__(self, driver, queue, keepalive_s=240, clean_session=True):
        self._driver = driver
        self.queue = queue
        self.keepalive_s = keepalive_s
        self.clean_session = clean_session
        self.state = CLOSED
        self.subscriptions = []
        self.acknowledged = 0  # QoS 1 publishes the server took, since the start
        self.last_header = 0  # first byte of the packet being taken, or taken last
        self.received_id = 0  # packet id of the message being delivered; 0 with QoS 0
        self.in_flight = []  # QoS 1 publishes
        self.requests_waiting = []  # SUBSCRIBE and UNSUBSCRIBE
        self._unwanted = []  # filters dropped that a kept session may still hold
        self._window_bytes = 0  # of the packets in flight
        self._last_packet_id = 0
        self._rx = bytearray(_RX_BYTES)
        self._rx_view = memoryview(self._rx)
        self._rx_used = 0
        self._skip = 0  # bytes of an oversize packet still to come
        self._tx = bytearray(_TX_BYTES)
        self._acks = bytearray(_ACKS_BYTES)
        self._acks_used = 0
        self._now = 0
        self._sent_at = 0
        self._received_at = 0
        self._pinged_at = None  # when the ping without answer was sent
        self._had_session = False

    # The link

    def connect(self, client_id, username=None, password=None, will=None):
        """A link is up: sends CONNECT. All names bytes."""
        for_now("iothub.mqtt.login").connect(self, client_id, username, password, will)

    def disconnect(self):
        """Says goodbye; the driver closes the link afterwards."""
        if self.state == ONLINE:
            self._send(packet.DISCONNECT)
        self.closed()

    def closed(self):
        """The link is gone. What was in flight stays, to be sent again on the next one."""
        self.state = CLOSED
        self.requests_waiting.clear()

    def advance(self, elapsed_ms):
        """Lets time pass; to be called about once a second, and pings when it is time to. Raises
        DeadlineError when the server owes an answer for too long."""
        self._now = (self._now + elapsed_ms) & _CLOCK_MASK
        if self.state == LOGGING_IN:
            if self._age(self._sent_at) >= CONNACK_MS:
                raise DeadlineError("the server did not answer the login", LOGIN)
        elif self.state == ONLINE:
            for waiting in (self.in_flight, self.requests_waiting):
                if waiting and self._age(waiting[0].sent_at) >= ACKNOWLEDGE_MS:
                    raise DeadlineError("no acknowledgement in time", PUBLISH)
            if self._pinged_at is not None:
                if self._age(self._pinged_at) >= PINGRESP_MS:
                    raise DeadlineError("no answer to a ping", KEEPALIVE)
            elif self.keepalive_s:
                idle_ms = max(self._age(self._sent_at), self._age(self._received_at))
                if idle_ms >= self.keepalive_s * 500:
                    self.ping()

    def ping(self):
        """Asks for a sign of life; advance() raises when none comes."""
        self._send(packet.PINGREQ)
        if self._pinged_at is None:
            self._pinged_at = self._now

    # Out

    def publish(self, topic, payload, retain=0):
        """QoS 0: sent at once. `topic` and `payload` bytes-like. Allocates nothing unless the
        message is larger than every one before."""
        size = packet.publish_size(topic, payload, 0)
        if size > len(self._tx):
            self._tx = bytearray(size)
        packet.put_publish(self._tx, topic, payload, 0, retain)
        self._sent_at = self._now
        self._driver.write(self._tx, size)

    def offer(self, topic, payload, token=None, retain=0):
        """QoS 1: sends and keeps the message until its PUBACK, and answers True; or answers False
        when it cannot be sent now (offline, window full, or others are queued before it)."""
        if self.state != ONLINE or len(self.queue):
            return False
        size = packet.publish_size(topic, payload, 1)
        if not self._has_room(size):
            return False
        self._launch(InFlight(0, bytearray(size), token, None, self._now), topic, payload, retain)
        return True

    def abandon(self, token):
        """Forgets the publish in flight that was given `token`: its caller was told it failed."""
        for record in self.in_flight:
            if record.token is token:
                self.in_flight.remove(record)
                self._window_bytes -= len(record.packet)
                if record.entry is not None:
                    self.queue.settle(record.entry)
                return

    def _has_room(self, size):
        window = len(self.in_flight)
        return not window or (
            window < _MAX_WINDOW and self._window_bytes + size <= _MAX_WINDOW_BYTES
        )

    def _launch(self, record, topic, payload, flags):
        buf = record.packet
        entry = record.entry
        packet_id = 0
        if entry is not None:
            packet_id = entry.packet_id
            if entry.dup:
                flags |= packet.DUP
        if not packet_id:
            packet_id = self._next_packet_id()
        record.packet_id = packet_id
        packet.put_publish(buf, topic, payload, packet_id, flags)
        self.in_flight.append(record)
        self._window_bytes += len(buf)
        self._send(buf)

    def flush_queue(self):
        """Moves queued messages into the window, oldest first, as far as it has room."""
        queue = self.queue
        while len(queue) and self.state == ONLINE:
            entry = queue.peek()
            if entry is None:
                return
            size = packet.publish_size(entry.topic, entry.payload, 1)
            if not self._has_room(size):
                return
            # Before it is taken, since there may be no memory for it.
            record = InFlight(0, bytearray(size), entry.token, entry, self._now)
            queue.take()
            self._launch(record, entry.topic, entry.payload, entry.retain)
            entry.topic = entry.payload = None  # the packet has them

    # Subscriptions

    def subscribe(self, pattern, qos, handler, takes_view=False):
        """Registers `handler` for a filter (bytes) and asks the server for it now, or at the next
        login. Replaces an earlier handler of the same filter. Returns the Subscription."""
        return for_now("iothub.mqtt.login").subscribe(self, pattern, qos, handler, takes_view)

    def unsubscribe(self, pattern):
        """Forgets the handler at once, and tells the server now or at the next login."""
        for_now("iothub.mqtt.login").unsubscribe(self, pattern)

    # In

    def space(self):
        """Where the driver reads the next bytes to: a buffer to be filled from its start."""
        if self._rx_used:
            return self._rx_view[self._rx_used :]
        return self._rx

    def received(self, count):
        """`count` bytes were read into space(). Takes every whole packet in it."""
        self._received_at = self._now
        self._pinged_at = None
        end = self._rx_used + count
        at = 0
        if self._skip:
            at = min(self._skip, end)
            self._skip -= at
        rx = self._rx
        view = self._rx_view
        while end - at >= 2:
            kind = rx[at] >> 4
            if not LEGAL_PACKETS[self.state] >> kind & 1:
                raise ProtocolError("packet type %d is out of place" % kind)
            size = rx[at + 1]
            body = at + 2
            if size > 127:
                digits = packet.length_size(rx, at + 1, end)
                if not digits:
                    break
                body = at + 1 + digits
                size = packet.length_value(rx, at + 1, digits)
            stop = body + size
            if stop > end:
                if stop - at > len(rx) and not self._make_space(at, body, stop, end):
                    at = end
                break
            self._packet(rx[at], body, stop)
            at = stop
            if self.state == CLOSED:
                break
        # The buffer may have grown above; what is left moves to the front of the present one.
        left = end - at
        if left and (at or rx is not self._rx):
            self._rx_view[0:left] = view[at:end]  # of a bytearray it would be a copy first
        self._rx_used = left
        if self._acks_used and self.state == ONLINE:
            self._send_acks()
        if len(self.queue):
            self.flush_queue()

    def _make_space(self, at, body, stop, end):
        """A packet larger than the buffer begins at `at`. True: keep what is there and read on.
        False: it is skipped as it comes."""
        first = self._rx[at]
        if first >> 4 != 3:
            raise ProtocolError("packet type %d has %d bytes" % (first >> 4, stop - body))
        if stop - body <= _MAX_PACKET_BYTES and len(self._rx) < _RX_GROWN_BYTES:
            try:
                grown = bytearray(_RX_GROWN_BYTES)
                self._rx_view = memoryview(grown)
                self._rx = grown
                return True
            except MemoryError:
                pass  # too large for this heap: skipped and reported like one over the cap
        rx = self._rx
        # A skipped QoS 1 message is acknowledged, or the server would send it for ever.
        if first & 0xF6 == packet.PUBLISH | 2:
            if end - body < 2:
                return True
            id_at = body + 2 + (rx[body] << 8 | rx[body + 1])
            if id_at + 2 > end and end - at < len(rx) and id_at + 2 - at <= len(rx):
                return True  # the id comes with the next bytes
            if id_at + 2 <= end and (rx[id_at] or rx[id_at + 1]):
                self._acknowledge(rx[id_at] << 8 | rx[id_at + 1])
        self._skip = stop - end
        self._driver.report(OVERSIZE, stop - at)
        return False

    def _packet(self, first, at, stop):
        kind = first >> 4
        self.last_header = first
        if kind == 3:
            self._publish_in(first, at, stop)
            return
        if first & 15:
            raise ProtocolError("reserved flags are set")
        size = stop - at
        rx = self._rx
        if kind == 13:
            if size:
                raise ProtocolError("PINGRESP with a body")
            return
        if size < 2 or (size > 2 and kind != 9):
            raise ProtocolError("packet type %d has %d bytes" % (kind, size))
        if kind == 2:
            for_now("iothub.mqtt.login").take_connack(self, rx[at], rx[at + 1])
            return
        packet_id = rx[at] << 8 | rx[at + 1]
        if kind == 4:
            self._puback(packet_id)
        else:
            if self._acks_used:
                self._send_acks()  # what follows takes its time
            codes = rx[at + 2 : stop]
            for_now("iothub.mqtt.login").take_answer(self, kind, packet_id, codes)

    def _publish_in(self, first, at, stop):
        rx = self._rx
        qos = first >> 1 & 3
        start = at + 2
        if stop < start:
            raise ProtocolError("PUBLISH without a topic")
        end = start + (rx[at] << 8 | rx[at + 1])
        body = end + 2 if qos else end
        if (
            qos > 1
            or body > stop
            or end == start
            or (qos and not rx[end] and not rx[end + 1])  # packet id 0
        ):
            raise ProtocolError("PUBLISH is malformed or has QoS 2")
        for subscription in self.subscriptions:
            pattern = subscription.pattern
            if subscription.wildcard:
                if topics.matches(pattern, rx, start, end):
                    topic = bytes(self._rx_view[start:end])
                    break
            elif len(pattern) == end - start and rx.startswith(pattern, start):
                topic = pattern
                break
        else:
            subscription = None
            topic = bytes(self._rx_view[start:end])
        self.received_id = packet_id = rx[end] << 8 | rx[end + 1] if qos else 0
        if self._driver.deliver(subscription, topic, self._rx_view[body:stop]) and qos:
            self._acknowledge(packet_id)

    def acknowledge(self, packet_id):
        """Sends the PUBACK of a message of this link that deliver() did not take at once."""
        if self.state == ONLINE:
            self._acknowledge(packet_id)
            self._send_acks()

    def _acknowledge(self, packet_id):
        """PUBACKs are gathered and leave in one write when all packets read are taken."""
        used = self._acks_used
        acks = self._acks
        acks[used] = packet.PUBACK
        acks[used + 1] = 2
        acks[used + 2] = packet_id >> 8
        acks[used + 3] = packet_id & 255
        self._acks_used = used + 4
        if used + 4 == _ACKS_BYTES:
            self._send_acks()

    def _send_acks(self):
        used = self._acks_used
        self._acks_used = 0
        if self.state == ONLINE:
            self._sent_at = self._now
            self._driver.write(self._acks, used)

    def _puback(self, packet_id):
        window = self.in_flight
        for i in range(len(window)):
            record = window[i]
            if record.packet_id == packet_id:
                window.pop(i)
                self._window_bytes -= len(record.packet)
                self.acknowledged += 1
                if record.entry is not None:
                    self.queue.settle(record.entry)
                if record.token is not None:
                    self._driver.acknowledged(record.token)
                return
        self._driver.report(STRAY_ACK, packet_id)

    # Common

    def _send(self, buf):
        self._sent_at = self._now
        self._driver.write(buf, len(buf))

    def _age(self, then):
        return (self._now - then) & _CLOCK_MASK

    def _next_packet_id(self):
        """1 to 32767, then 1 again; never one that is still waiting. The upper half belongs to the
        queue on flash, whose messages keep their ids over a reset."""
        packet_id = self._last_packet_id
        while True:
            packet_id = packet_id % 32767 + 1
            if not self._is_waiting(packet_id):
                self._last_packet_id = packet_id
                return packet_id

    def _is_waiting(self, packet_id):
        for records in (self.in_flight, self.requests_waiting):
            for record in records:
                if record.packet_id == packet_id:
                    return True
        return False
