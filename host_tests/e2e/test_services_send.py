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
    assert left == [False, False, False, None, True]


OUT_OF_MEMORY = """
import asyncio, json, sys
from iothub import Device
from iothub.config import Config
from iothub.services.service import Service

told = []
device = Device(Config(json.loads(sys.argv[1])), lambda what, error: told.append(error))
services = device.services

class Waiting(Service):
    rounds = 0

    def received(self, topic, payload):
        pass

    def advance(self, elapsed_ms):
        self.rounds += 1
        if self.rounds == 1:
            raise MemoryError
        return self.rounds < 3

async def main():
    waiting = [
        services.run(Waiting(services, device.identity, b"$a", b"$b")),
        services.run(Waiting(services, device.identity, b"$c", b"$d")),
    ]
    services.keep_time()
    for _ in range(100):
        if services._timer is None:
            break
        await asyncio.sleep_ms(50)
    print(json.dumps([[each.rounds for each in waiting], [repr(error) for error in told]]))

asyncio.run(main())
"""


def test_time_goes_on_for_services_after_one_had_no_memory(tmp_path):
    rounds, told = run_text(OUT_OF_MEMORY, tmp_path, json.dumps(CONFIG))
    assert (rounds, told) == ([3, 3], ["MemoryError()"] * 2)


NOT_TOLD = """
import json, sys
from iothub import Device
from iothub.config import Config
from iothub.net.session import OFFLINE
from iothub.services.service import Service

told = []
device = Device(Config(json.loads(sys.argv[1])), lambda what, detail: told.append(what))
services = device.services

class Heavy(Service):
    def received(self, topic, payload):
        pass

    def closed(self):
        super().closed()
        raise MemoryError

made = []
for name in (b"$a", b"$b"):
    service = services.run(Heavy(services, device.identity, name, name + b"/result"))
    service.is_connected = True
    made.append(service)
device.tell(OFFLINE, None)
print(json.dumps([[each.is_connected for each in made], told]))
"""


def test_all_are_told_of_the_link_though_one_service_has_no_memory_for_it(tmp_path):
    connected, told = run_text(NOT_TOLD, tmp_path, json.dumps(CONFIG))
    assert (connected, told) == ([False, False], [-1, -1, 0])
