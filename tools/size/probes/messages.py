# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""One QoS 0 message out and one in, through the session and the engine; the socket is a sink."""

from iothub.credentials import Identity
from iothub.net import session
from iothub.net.endpoint import Endpoint
from iothub.profiles import IoTHub

_TOPIC = b"ABCDE12345/thermostat-001/event"
_PAYLOAD = b'{"temperature":21.5,"humidity":40}'
_COMMANDS = b"ABCDE12345/thermostat-001/control"
_CONNACK = b"\x20\x02\x00\x00"


class _Sink:
    def write(self, buf, size):
        return size


def _publish_packet(topic, payload):
    body = len(topic).to_bytes(2, "big") + topic + payload
    return b"\x30" + bytes([len(body)]) + body


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
_packet = _publish_packet(_COMMANDS, b'{"set":23}')
_length = len(_packet)


def _publish():
    _session.publish_nowait(_TOPIC, _PAYLOAD)


def _take():
    _space[:_length] = _packet
    _engine.received(_length)


OPERATIONS = (
    ("publish, QoS 0", _publish),
    ("message received, up to a handler that takes a view", _take),
)
ALLOCATIONS = (
    ("publish, QoS 0", 0),
    ("message received, up to a handler that takes a view", 16),  # the payload's memoryview
)
