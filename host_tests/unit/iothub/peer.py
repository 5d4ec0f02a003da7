"""The two sides an engine talks to in these tests: a driver that records, and a server that says
what the test tells it to. Builds and reads packets on its own, from the MQTT 3.1.1 standard."""

from iothub.mqtt.engine import Engine
from iothub.store.queue import RamQueue

CONNECT = 0x10
PUBLISH = 0x30
PUBACK = 0x40
SUBSCRIBE = 0x82
UNSUBSCRIBE = 0xA2
PINGREQ = 0xC0
DISCONNECT = 0xE0

PINGRESP = b"\xd0\x00"


class Driver:
    """Records what the engine calls. `on_message(subscription, topic, payload)` may act, and
    decides what deliver() answers; without it every message is taken."""

    def __init__(self, on_message=None):
        self.writes = []
        self.messages = []
        self.acknowledged_tokens = []
        self.reports = []
        self.on_message = on_message
        self.on_report = None

    def write(self, buf, size):
        self.writes.append(bytes(memoryview(buf)[:size]))

    def deliver(self, subscription, topic, payload):
        self.messages.append((subscription and subscription.pattern, topic, bytes(payload)))
        if self.on_message is None:
            return True
        return self.on_message(subscription, topic, payload)

    def acknowledged(self, token):
        self.acknowledged_tokens.append(token)

    def report(self, what, detail):
        self.reports.append((what, detail))
        if self.on_report is not None:
            self.on_report(what, detail)

    def take(self):
        """The packets written since the last call, as [(first byte, body)]."""
        stream = b"".join(self.writes)
        self.writes.clear()
        return split(stream)

    def reported(self, what):
        """The details of the reports of one kind."""
        return [detail for kind, detail in self.reports if kind == what]


def split(stream):
    """The whole packets of a stream, as [(first byte, body)]."""
    packets = []
    at = 0
    while at < len(stream):
        first = stream[at]
        at += 1
        size = 0
        shift = 0
        while True:
            digit = stream[at]
            at += 1
            size |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                break
        if at + size > len(stream):
            raise AssertionError("a packet is cut short")
        packets.append((first, stream[at : at + size]))
        at += size
    return packets


def packet_id(body):
    """The two bytes a body begins with, as a number."""
    return body[0] << 8 | body[1]


def published(first, body):
    """(topic, payload, packet id or 0, DUP) of a PUBLISH."""
    size = body[0] << 8 | body[1]
    topic = body[2 : 2 + size]
    rest = body[2 + size :]
    number = 0
    if first & 6:
        number = packet_id(rest)
        rest = rest[2:]
    return topic, rest, number, bool(first & 8)


def filters(first, body):
    """[(filter, qos)] of a SUBSCRIBE, [filter] of an UNSUBSCRIBE."""
    found = []
    at = 2
    while at < len(body):
        end = at + 2 + (body[at] << 8 | body[at + 1])
        pattern = body[at + 2 : end]
        if first == SUBSCRIBE:
            found.append((pattern, body[end]))
            end += 1
        else:
            found.append(pattern)
        at = end
    return found


def remaining_length(size):
    """A size in the one to four bytes of section 2.2.3."""
    out = []
    while True:
        out.append(size % 128 + (128 if size > 127 else 0))
        size //= 128
        if not size:
            return bytes(out)


def frame(first, body):
    """A packet of any type."""
    return bytes((first,)) + remaining_length(len(body)) + body


def connack(code=0, present=0):
    return bytes((0x20, 2, present, code))


def message(topic, payload, number=0, flags=0):
    """A PUBLISH from the server; QoS 1 with a packet id."""
    head = len(topic).to_bytes(2, "big") + topic
    if number:
        head += number.to_bytes(2, "big")
        flags |= 2
    return frame(0x30 | flags, head + payload)


def puback(number):
    return b"\x40\x02" + number.to_bytes(2, "big")


def suback(number, *codes):
    return frame(0x90, number.to_bytes(2, "big") + bytes(codes))


def unsuback(number):
    return b"\xb0\x02" + number.to_bytes(2, "big")


def feed(engine, data, step=16384):
    """Bytes from the server, at most `step` at a time, as a driver reads them."""
    at = 0
    while at < len(data):
        space = engine.space()
        size = min(step, len(space), len(data) - at)
        if not size:
            raise AssertionError("the engine asks for no bytes")
        space[0:size] = data[at : at + size]
        engine.received(size)
        at += size


def logging_in(keepalive_s=240, clean_session=True, on_message=None, queue=None):
    """(engine, driver) after CONNECT."""
    driver = Driver(on_message)
    engine = Engine(driver, queue or RamQueue(), keepalive_s, clean_session)
    engine.connect(b"PRODUCTID1dev01")
    driver.take()
    return engine, driver


def online(keepalive_s=240, clean_session=True, on_message=None, queue=None):
    """(engine, driver) after CONNACK 0."""
    engine, driver = logging_in(keepalive_s, clean_session, on_message, queue)
    feed(engine, connack())
    driver.take()
    driver.reports.clear()
    return engine, driver


def reconnect(engine, present=0):
    """The link breaks and comes back; returns what the engine sent after CONNACK."""
    driver = engine._driver
    engine.closed()
    engine.connect(b"PRODUCTID1dev01")
    driver.take()
    feed(engine, connack(0, present))
    return driver.take()


def subscribed(engine, pattern, qos=1, handler=None):
    """A filter that the server granted."""
    subscription = engine.subscribe(pattern, qos, handler)
    first, body = engine._driver.take()[-1]
    if first != SUBSCRIBE:
        raise AssertionError("SUBSCRIBE expected")
    feed(engine, suback(packet_id(body), qos))
    return subscription
