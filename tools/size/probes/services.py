# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""A message to a service and all that comes of it. The driver (services/service.py) runs at once
what it is given, and is the server, too."""

from iothub.credentials import Identity
from iothub.services.rrpc import Rrpc
from iothub.services.shadow import Shadow

_TOKEN = b'"clientToken": "'
_identity = Identity("ABCDE12345", "thermostat-001")


class _Driver:
    sent = b""

    def send(self, topic, payload):
        self.sent = payload.encode() if isinstance(payload, str) else payload
        return True

    def spawn(self, coroutine):
        try:
            coroutine.send(None)
        except StopIteration:
            return
        raise ValueError("it waits for something")

    def keep_time(self):
        pass

    def wake(self):
        pass

    def random(self):
        return 7

    def report(self, error):
        raise error


_driver = _Driver()

_rrpc = Rrpc(_driver, _identity)
_rrpc(lambda payload: payload)
_rrpc.connected()
_calls = 0


def _call():
    global _calls
    _calls += 1
    _rrpc.received(b"$rrpc/rxd/ABCDE12345/thermostat-001/%d" % _calls, b'{"method":"read"}')


_shadow = Shadow(_driver, _identity)


def _answer(kind, version, more=b""):
    start = _driver.sent.find(_TOKEN) + len(_TOKEN)
    token = _driver.sent[start : _driver.sent.find(b'"', start)]
    message = b'{"type":"%s","result":0,"clientToken":"%s","payload":{"version":%d%s}}'
    _shadow.received(b"", message % (kind, token, version, more))


def _delta():
    version = _shadow.version + 1
    _shadow.received(
        b"",
        b'{"type":"delta","payload":{"state":{"brightness":80},"version":%d}}' % version,
    )
    _answer(b"update", version + 1)
    if _shadow.desired or _shadow.version != version + 1:
        raise ValueError("not cleared")


_shadow.on("brightness")(lambda percent: percent)
_shadow.connected()
_answer(b"get", 1, b',"state":{}')

OPERATIONS = (
    ("RRPC call, answered", _call),
    ("shadow delta, reported and cleared", _delta),
)
