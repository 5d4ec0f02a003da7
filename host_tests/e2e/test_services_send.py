"""What services send, and what becomes of what does not leave."""

import json

from host_tests.e2e.device_program import run_text
from host_tests.e2e.test_timekeeper import CONFIG

PROGRAM = """
import json, sys
from iothub import Device
from iothub.config import Config
from iothub.errors import BadInput, LinkError, QueueFull

told = []
device = Device(Config(json.loads(sys.argv[1])), lambda what, error: told.append(error))
services = device.services
left = [services.send(b"$rrpc/txd/x", "no connection")]

def fails(error):
    def publish_nowait(topic, payload, qos=0):
        raise error
    device.session.publish_nowait = publish_nowait
    return services.send(b"$rrpc/txd/x", "x")

left += [fails(LinkError("lost")), fails(QueueFull("full"))]
assert not told
left.append(fails(BadInput("payload", "too large")))
assert [type(error).__name__ for error in told] == ["BadInput"]
sent = []
device.session.publish_nowait = lambda topic, payload, qos=0: sent.append((topic, payload))
left.append(services.send(b"$rrpc/txd/x", b"it leaves"))
assert sent == [(b"$rrpc/txd/x", b"it leaves")]
print(json.dumps(left))
"""


def test_what_can_never_leave_is_reported_and_not_tried_again(tmp_path):
    left = run_text(PROGRAM, tmp_path, json.dumps(CONFIG))
    assert left == [False, False, False, True, True]
