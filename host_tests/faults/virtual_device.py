"""A device in virtual time: the firmware's engine, queues and backoff, driven as net/session.py
drives them, without sockets and without waiting."""

from iothub.errors import IoTHubError, LoginRefused, QueueFull
from iothub.mqtt import engine as mqtt
from iothub.mqtt.backoff import Backoff
from iothub.mqtt.engine import Engine
from iothub.timeouts import REFUSED_FIRST_MS, REFUSED_LAST_MS, STABLE_MS, TICK_MS

KEEPALIVE_S = 240
# Nobody waits for an idle engine but its keepalive.
_IDLE_TICK_MS = 5 * TICK_MS


class VirtualDevice:
    """`network` has connect(device, attempt), which leads to opened() or failed(). `new_queue()`
    makes the queue, also after a reset; an `application` has deliver(topic, payload, dup),
    acknowledged(token), dropped(token) and changed(what, detail)."""

    engine_class = Engine
    backoff_class = Backoff

    def __init__(self, agenda, network, random_below, client_id, topic, new_queue, application):
        self.client_id = client_id
        self.resets = 0
        self._agenda = agenda
        self._network = network
        self._random_below = random_below
        self._topic = topic
        self._new_queue = new_queue
        self._application = application
        self._attempt = 0  # what belongs to an earlier one comes too late
        self._start()

    def _start(self):
        self.link = None
        self.engine = self.engine_class(self, self._new_queue(), KEEPALIVE_S, False)
        self.engine.subscribe(self._topic, 1, None)
        self._backoff = self.backoff_class(self._random_below)
        self._refusal_backoff = Backoff(self._random_below, REFUSED_FIRST_MS, REFUSED_LAST_MS)
        self._ticked_ms = self._agenda.now_ms
        self._online_ms = 0
        self._connect(self._attempt)

    def reset(self):
        """Power off and on: what is in RAM is gone."""
        self.resets += 1
        self._attempt += 1
        if self.link is not None:
            self.link.abandon()
        self._start()

    @property
    def is_idle(self):
        """Logged in, and nothing waits."""
        engine = self.engine
        return (
            engine.state == mqtt.ONLINE
            and not engine.in_flight
            and not engine.queue.unsettled
            and not engine.requests_waiting
        )

    def publish(self, payload, token):
        """A QoS 1 message; whether it is kept."""
        engine = self.engine
        try:
            if engine.queue.durable or not engine.offer(b"up", payload, token):
                for evicted in engine.queue.put(b"up", payload, token):
                    self._application.dropped(evicted)
                engine.flush_queue()
        except QueueFull:
            return False
        return True

    # What the network calls

    def opened(self, link, attempt):
        if attempt != self._attempt:
            link.abandon()
            return
        self.link = link
        self._online_ms = 0
        self._advance()
        self.engine.connect(self.client_id)
        self._agenda.after(TICK_MS, self._tick, attempt)

    def failed(self, attempt):
        if attempt == self._attempt:
            self._lost(self._backoff)

    def received(self, link, data):
        if link is not self.link:
            return
        at = 0
        try:
            while at < len(data):
                space = self.engine.space()
                size = min(len(space), len(data) - at)
                space[0:size] = data[at : at + size]
                self.engine.received(size)
                at += size
        except LoginRefused as e:
            self._lost(self._refusal_backoff if e.code > 3 else self._backoff)
        except IoTHubError:
            self._lost(self._backoff)

    def broken(self, link):
        if link is self.link:
            self._lost(self._backoff)

    # Time

    def _tick(self, attempt):
        if attempt != self._attempt:
            return
        try:
            self._advance()
        except IoTHubError:
            self._lost(self._backoff)
        else:
            tick_ms = _IDLE_TICK_MS if self.is_idle else TICK_MS
            self._agenda.after(tick_ms, self._tick, attempt)

    def _advance(self):
        elapsed_ms = self._agenda.now_ms - self._ticked_ms
        self._ticked_ms = self._agenda.now_ms
        if self.engine.state == mqtt.ONLINE:
            self._online_ms += elapsed_ms
            if self._online_ms > STABLE_MS:
                self._backoff.reset()
                self._refusal_backoff.reset()
        self.engine.advance(elapsed_ms)

    def _lost(self, backoff):
        self.engine.closed()
        link = self.link
        self.link = None
        if link is not None:
            link.close()
        self._attempt += 1
        self._agenda.after(backoff.next_ms(), self._connect, self._attempt)

    def _connect(self, attempt):
        if attempt == self._attempt:
            self._network.connect(self, attempt)

    # What the engine calls

    def write(self, buf, size):
        self.link.send_up(bytes(memoryview(buf)[:size]))

    def deliver(self, subscription, topic, payload):
        self._application.deliver(topic, payload, bool(self.engine.last_header & 8))
        return True

    def acknowledged(self, token):
        self._application.acknowledged(token)

    def report(self, what, detail):
        self._application.changed(what, detail)
