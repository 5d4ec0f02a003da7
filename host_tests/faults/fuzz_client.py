"""The application of the MQTT fuzz: a driver whose handlers act on the engine at random, and which
looks at everything the engine sends."""

from iothub.mqtt import engine as mqtt

from host_tests.faults.fuzz_run import FuzzFailure
from host_tests.faults.fuzz_server import SIZES
from host_tests.unit.iothub import peer

PATTERNS = (b"a/b", b"a/+", b"c/#", b"d", b"+/e", b"$sys/x")
MAX_QUEUED = 10


class Client(peer.Driver):
    """`sent` are the packets of this link; `tokens` counts the QoS 1 publishes that were taken."""

    def __init__(self, dice):
        peer.Driver.__init__(self)
        self.dice = dice
        self.engine = None
        self.sent = []
        self.tokens = 0
        self.acts = True

    def deliver(self, subscription, topic, payload):
        peer.Driver.deliver(self, subscription, topic, payload)
        if self.acts and self.dice.hits(30):
            self.act()
            return self.dice.hits(80)
        return True

    def report(self, what, detail):
        peer.Driver.report(self, what, detail)
        if self.acts and self.dice.hits(10):
            self.act()

    def act(self):
        """Something an application does."""
        engine = self.engine
        dice = self.dice
        kind = dice.below(8)
        if kind < 3:
            self.publish(b"t/%d" % dice.below(4), b"x" * dice.pick(SIZES))
        elif kind == 3 and engine.state == mqtt.ONLINE:
            engine.publish(b"t", b"y" * dice.pick(SIZES))
        elif kind == 4:
            engine.unsubscribe(dice.pick(PATTERNS))
        elif kind == 5 and dice.hits(10):
            engine.disconnect()
        else:
            engine.subscribe(dice.pick(PATTERNS), dice.below(2), None)

    def publish(self, topic, payload):
        """QoS 1, as the drivers do it: to the window or else to the queue."""
        if not self.engine.offer(topic, payload, self.tokens):
            if len(self.engine.queue) >= MAX_QUEUED:
                return
            self.engine.queue.put(topic, payload, self.tokens)
        self.tokens += 1

    def fresh(self):
        """The packets sent since the last call, each checked."""
        packets = self.take()
        for first, body in packets:
            if not _is_legal(first, body):
                raise FuzzFailure(f"the client sent 0x{first:02x} {body!r}")
        self.sent += packets
        return packets


def _is_legal(first, body):
    """Whether a client may send this."""
    if first >> 4 == peer.PUBLISH >> 4:
        topic, _, number, _ = peer.published(first, body)
        return topic and (first & 6 == 0 or (first & 6 == 2 and number))
    if first in (peer.SUBSCRIBE, peer.UNSUBSCRIBE):
        return peer.packet_id(body) and peer.filters(first, body)
    if first == peer.PUBACK:
        return len(body) == 2 and peer.packet_id(body)
    if first in (peer.PINGREQ, peer.DISCONNECT):
        return not body
    return first == peer.CONNECT
