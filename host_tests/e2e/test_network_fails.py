"""A network that fails in its own words (a chip's driver, or an application's own) is a lost link
like any other, and tried again; it does not end the device."""

from host_tests.e2e.device_program import run_text

PROGRAM = """
import asyncio, json
from iothub.mqtt.backoff import Backoff
from iothub.net.endpoint import Endpoint
from iothub.net.session import OFFLINE, Session
from iothub.profiles import Plain

class Network:
    async def up(self):
        raise OSError(12294, "Wifi Internal State Error")

heard = []
def hear(what, detail):
    heard.append((what == OFFLINE, type(detail).__name__, detail.phase, detail.errno, str(detail)))

async def main():
    endpoint = Endpoint("127.0.0.1", 1, Network())
    backoff = Backoff(lambda below: 0)
    session = Session(endpoint, None, Plain(), backoff=backoff, on_event=hear)
    running = asyncio.create_task(session.run())
    while len(heard) < 2:
        await asyncio.sleep_ms(1)
    await session.stop()
    await running
    print(json.dumps(heard[:2]))

asyncio.run(asyncio.wait_for(main(), 10))
"""


def test_a_session_outlives_it(tmp_path):
    for was_offline, kind, phase, code, text in run_text(PROGRAM, tmp_path):
        assert (was_offline, kind, phase, code) == (True, "LinkError", "network", 12294)
        assert "Wifi Internal State Error" in text
