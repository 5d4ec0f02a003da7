"""umqtt.simple's client, on our engine: blocking, for the REPL and for existing programs, which
change one import line. What people know of it holds; every wait has a deadline, callbacks are
never nested, and errors are those of iothub.errors (OSErrors all).

It keeps the link alive while one of its calls runs, so call check_msg() or wait_msg() often.
"""

import select
from time import ticks_diff, ticks_ms

from umqtt import simple

from iothub import topics
from iothub.compat import const
from iothub.errors import (
    CONNECT,
    NETWORK,
    RECEIVE,
    BadInput,
    DeadlineError,
    NotConnected,
    SubscribeRefused,
)
from iothub.loading import for_now
from iothub.mqtt import engine as mqtt
from iothub.mqtt.packet import publish_size
from iothub.net.endpoint import Endpoint
from iothub.profiles import Plain
from iothub.store.queue import RamQueue
from iothub.timeouts import TCP_CONNECT_MS, TICK_MS, WRITE_STALL_MS

_POLL_MS = const(20)
_MAX_INBOX = const(32)  # messages read while waiting for something else, not yet called back


class MQTTClient(simple.MQTTClient):
    """See umqtt.simple. `ssl`: None or False for plain TCP, True for TLS that trusts the anchors
    in the folder "trust", or an SSLContext. `profile` (profiles.py) holds the service's rules;
    the default has none beyond MQTT's own, `endpoint` (net/endpoint.py) replaces server, port and
    ssl. A refused login raises LoginRefused, a refused filter SubscribeRefused."""

    def __init__(
        self,
        client_id,
        server,
        port=0,
        user=None,
        password=None,
        keepalive=0,
        ssl=None,
        ssl_params=None,
        profile=None,
        endpoint=None,
    ):
        if ssl is True:
            ssl = for_now("iothub.net.tls").by_certificates("trust")
        super().__init__(client_id, server, port, user, password, keepalive, ssl, ssl_params or {})
        self._profile = profile or Plain()
        self._profile.check_connect(keepalive)
        self._endpoint = endpoint or Endpoint(server, self.port, None, self.ssl or None)
        # The queue of this client stays empty: a publish blocks until it is acknowledged.
        self._engine = mqtt.Engine(self, RamQueue(), keepalive)
        self._poller = select.poll()
        self._inbox = []
        self._unacknowledged_id = 0  # of the message that is being called back
        self._ticked_ms = ticks_ms()
        self._will = None
        self._pollable = None
        self._write_limit_ms = WRITE_STALL_MS
        self._session_present = False
        self.dropped = 0  # messages that came while the inbox was full

    def set_last_will(self, topic, msg, retain=False, qos=0):
        will = topics.encode(topic), _bytes(msg), qos, retain
        self._profile.check_connect(self.keepalive, will)
        self._profile.check_publish(will[0], qos, retain)
        self._will = will

    def connect(self, clean_session=True, timeout=None):
        """Returns whether the server kept a session. `timeout` in seconds bounds the whole."""
        timeout_ms = TCP_CONNECT_MS if timeout is None else int(timeout * 1000)
        self._drop_link()
        engine = self._engine
        engine.clean_session = clean_session
        started_ms = ticks_ms()
        self._endpoint._address = None  # as umqtt.simple: perhaps the server has moved
        opening = self._endpoint.begin()
        self.sock = opening.stream
        while not self._link(opening.step, _POLL_MS):
            if ticks_diff(ticks_ms(), started_ms) > timeout_ms:
                self._drop_link()
                raise DeadlineError("no connection in time", NETWORK)
        self.sock = opening.stream
        self._pollable = opening.pollable
        self._poller.register(self._pollable, select.POLLIN)
        self._session_present = False
        self._ticked_ms = ticks_ms()
        self._write_limit_ms = timeout_ms - ticks_diff(self._ticked_ms, started_ms)
        self._link(
            engine.connect,
            _bytes(self.client_id),
            _bytes(self.user),
            _bytes(self.pswd),
            self._will,
        )
        self._write_limit_ms = WRITE_STALL_MS
        self._endpoint.handshake_over()  # the stream took bytes
        self._until(lambda: engine.state == mqtt.ONLINE, timeout_ms, started_ms)
        if engine.requests_waiting:
            self._until(lambda: not engine.requests_waiting)
        return self._session_present

    def disconnect(self):
        try:
            self._engine.disconnect()
        except (OSError, ValueError):
            pass  # the server went first
        finally:
            self._drop_link()

    def ping(self):
        self._catch_up()
        self._link(self._engine.ping)

    def publish(self, topic, msg, retain=False, qos=0):
        """With QoS 1 returns when the server acknowledged. An error means: not known to have
        arrived, and no longer kept."""
        topic = topics.encode(topic)
        msg = _bytes(msg)
        self._profile.check_publish(topic, qos, retain)
        if publish_size(topic, msg, qos) > self._profile.max_packet_bytes:
            raise BadInput("msg", "packet over %d bytes" % self._profile.max_packet_bytes)
        self._catch_up()
        if not qos:
            self._link(self._engine.publish, topic, msg, retain)
            return
        arrived = bytearray(1)
        try:
            self._link(self._engine.offer, topic, msg, arrived, retain)
            self._until(lambda: arrived[0])
        finally:  # not only after an OSError: Ctrl-C ends the wait too
            self._engine.abandon(arrived)

    def subscribe(self, topic, qos=0):
        if self.cb is None:
            raise BadInput("callback", "call set_callback() before subscribe()")
        self._catch_up()
        pattern = topics.encode(topic)
        self._profile.check_subscribe(pattern, qos)
        found = self._link(self._engine.subscribe, pattern, qos, None)
        self._until(lambda: found.granted is not None)
        if found.granted == 128:
            self._engine.subscriptions.remove(found)
            raise SubscribeRefused("refused: " + pattern.decode())

    def wait_msg(self):
        """Waits for one message, and calls back, or one other packet. Returns its first byte."""
        self._need_link()
        while True:
            header = self._call_back()
            if header is None:
                header = self._pump(TICK_MS)
                if header is None or self._inbox:
                    continue
            return header

    def check_msg(self):
        """The same without waiting: None when nothing has come."""
        self._need_link()
        if not self._inbox:
            header = self._pump(0)
            if not self._inbox:
                return header
        return self._call_back()

    def _call_back(self):
        if not self._inbox:
            return None
        header, topic, msg, self._unacknowledged_id = self._inbox.pop(0)
        try:
            self.cb(topic, msg)
        finally:
            # Only now, so that a server with a window cannot send more than the inbox holds.
            if self._unacknowledged_id:
                self._link(self._engine.acknowledge, self._unacknowledged_id)
        return header

    # Driving the engine

    def _need_link(self):
        if self._engine.state != mqtt.ONLINE:
            raise NotConnected("call connect() first")

    def _catch_up(self):
        """Before sending: the program may have been busy elsewhere for long, and deadlines count
        from what the engine takes for now."""
        self._need_link()
        if ticks_diff(ticks_ms(), self._ticked_ms) > TICK_MS:
            self._pump(0)

    def _until(self, condition, timeout_ms=None, started_ms=0):
        """Pumps until `condition()`. The engine's deadlines end it if nothing else does."""
        while not condition():
            wait_ms = TICK_MS
            if timeout_ms is not None:
                wait_ms = min(wait_ms, timeout_ms - ticks_diff(ticks_ms(), started_ms))
                if wait_ms <= 0:
                    self._drop_link()
                    raise DeadlineError("the server did not answer in time", CONNECT)
            self._pump(wait_ms)

    def _pump(self, wait_ms):
        """Reads and lets time pass; returns the first byte of the last packet, or None."""
        return self._link(self._read, wait_ms)

    def _read(self, wait_ms):
        engine = self._engine
        engine.last_header = 0
        # Read before polling: TLS and WebSocket may hold bytes that the socket no longer has.
        count = self.sock.readinto(engine.space())
        if count is None and self._poller.poll(wait_ms):
            count = self.sock.readinto(engine.space())
        if count == 0:
            raise self._endpoint.ended(RECEIVE)
        if count:
            engine.received(count)
        # After reading: an answer that waited in the socket came in time.
        now_ms = ticks_ms()
        elapsed_ms = ticks_diff(now_ms, self._ticked_ms)
        self._ticked_ms = now_ms
        engine.advance(elapsed_ms)
        return engine.last_header or None

    def _link(self, action, *args):
        """Runs one step on the link; whatever fails there ends it, and is told as our error."""
        try:
            return action(*args)
        except BadInput:
            raise
        except (OSError, ValueError) as e:  # ValueError: TLS refuses a certificate that way
            error = self._endpoint.explain(e)  # before the socket is closed: it may know more
            self._drop_link()
            raise error
        except MemoryError:  # for code that is loaded to log in or to subscribe
            self._drop_link()
            raise

    def _drop_link(self):
        self._engine.closed()
        self._endpoint.handshake_over()
        self._unacknowledged_id = 0  # ids mean nothing on the next link
        self._inbox = [(header, topic, msg, 0) for header, topic, msg, _ in self._inbox]
        if self._pollable is not None:
            self._poller.unregister(self._pollable)
            self._pollable = None
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    # What the engine calls

    def write(self, buf, size):
        view = memoryview(buf)
        done = 0
        started_ms = ticks_ms()
        while done < size:
            written = self.sock.write(view[done:size])
            if written:
                done += written
            elif ticks_diff(ticks_ms(), started_ms) > self._write_limit_ms:
                raise DeadlineError("the socket takes no more bytes", CONNECT)
            else:
                self._poller.modify(self._pollable, select.POLLOUT)
                self._poller.poll(_POLL_MS)
                self._poller.modify(self._pollable, select.POLLIN)

    def deliver(self, subscription, topic, payload):
        if len(self._inbox) >= _MAX_INBOX:
            self.dropped += 1
            return False
        engine = self._engine
        self._inbox.append((engine.last_header, topic, bytes(payload), engine.received_id))
        return False  # acknowledged when it was called back

    def acknowledged(self, arrived):
        arrived[0] = 1

    def report(self, what, detail):
        if what == mqtt.ONLINE_AGAIN:
            self._session_present = detail


def _bytes(value):
    return value.encode() if isinstance(value, str) else value
