# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""One message out and one in, through the session and the engine; the socket is a sink."""

from iothub.credentials import Identity
from iothub.net import session
from iothub.net.endpoint import Endpoint
from iothub.profiles import IoTHub

_TOPIC = b"ABCDE12345/thermostat-001/event"
_PAYLOAD = b'{"temperature":21.5,"humidity":40}'
_COMMANDS = b"ABCDE12345/thermostat-001/control"
_CONNACK = b"\x20\x02\x00\x00"
_PACKET_ID = b"\x00\x07"
_ID_AT = 2 + 2 + len(_TOPIC)  # behind the fixed header, and the topic with its length
_SUBSCRIPTIONS = 20

_puback = bytearray(b"\x40\x02\x00\x00")


class _Sink:
    """A server that acknowledges when it is asked to."""

    def write(self, buf, size):
        if buf[0] & 0xF6 == 0x32:  # PUBLISH, QoS 1
            _puback[2] = buf[_ID_AT]
            _puback[3] = buf[_ID_AT + 1]
        return size


def _publish_packet(topic, payload, packet_id=b""):
    body = len(topic).to_bytes(2, "big") + topic + packet_id + payload
    return bytes([0x32 if packet_id else 0x30, len(body)]) + body


def _receive(packet):
    _engine.space()[: len(packet)] = packet
    _engine.received(len(packet))


def _handler(topic, payload):
    pass


_endpoint = Endpoint("127.0.0.1", 1883)
_session = session.Session(_endpoint, None, IoTHub(Identity("ABCDE12345", "thermostat-001")))
# What run() does once a socket is open; here it is a sink.
_session._stream = _Sink()
_session._enter(session.OPENING)
_session._enter(session.LOGGING_IN)
_engine = _session.engine
_engine.connect(b"ABCDE12345thermostat-001", b"user", b"password")
_receive(_CONNACK)
_session.register(_COMMANDS, _handler, 0, True)
_space = _engine.space()
for _i in range(_SUBSCRIPTIONS - 2):
    _session.register(b"ABCDE12345/thermostat-001/other/%d" % _i, _handler, 0, True)
_last = b"ABCDE12345/thermostat-001/last"
_session.register(_last, _handler, 0, False)


def _publish():
    _session.publish_nowait(_TOPIC, _PAYLOAD)


def _publish_acknowledged():
    _session.publish_nowait(_TOPIC, _PAYLOAD, 1)
    _space[:4] = _puback
    _engine.received(4)


def _taker(topic, packet_id=b""):
    packet = _publish_packet(topic, b'{"set":23}', packet_id)
    length = len(packet)

    def take():
        _space[:length] = packet
        _engine.received(length)

    return take


_OUT = "publish, QoS 0"
_IN = "message received, QoS 0, up to a handler that takes a view"
_IN_ACKNOWLEDGED = "message received, QoS 1, the same, and acknowledged"
OPERATIONS = (
    (_OUT, _publish),
    ("publish, QoS 1, and its acknowledgement", _publish_acknowledged),
    (_IN, _taker(_COMMANDS)),
    (_IN_ACKNOWLEDGED, _taker(_COMMANDS, _PACKET_ID)),
    (
        "message received, the last of %d subscriptions, copied for its handler" % _SUBSCRIPTIONS,
        _taker(_last),
    ),
)
# What is received costs the payload's memoryview.
ALLOCATIONS = ((_OUT, 0), (_IN, 16), (_IN_ACKNOWLEDGED, 16))
