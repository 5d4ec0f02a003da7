"""Code that is loaded to connect may fail to load: that is a lost link, and tried again."""

import json
import subprocess

from host_tests.e2e.device_program import MICROPYTHON, ROOT

PROGRAM = """
import asyncio, json
from iothub.mqtt.backoff import Backoff
from iothub.net.session import OFFLINE, Session
from iothub.profiles import Plain

class Endpoint:
    tries = 0
    async def open(self):
        self.tries += 1
        if self.tries % 2:
            raise MemoryError()
        from iothub.net import is_not_there
    def handshake_over(self):
        pass

heard = []
def hear(what, detail):
    heard.append((what == OFFLINE, type(detail).__name__, detail.errno, detail.reason))

async def main():
    backoff = Backoff(lambda below: 0)
    session = Session(Endpoint(), None, Plain(), backoff=backoff, on_event=hear)
    running = asyncio.create_task(session.run())
    while len(heard) < 4:
        await asyncio.sleep_ms(1)
    await session.stop()
    await running
    print(json.dumps(heard[:4]))

asyncio.run(asyncio.wait_for(main(), 10))
"""


def test_a_session_goes_on_without_the_code_to_connect():
    done = subprocess.run(
        [str(MICROPYTHON), "-c", PROGRAM],
        env={"MICROPYPATH": f"{ROOT / 'firmware/lib'}:.frozen"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    heard = json.loads(done.stdout.splitlines()[-1])
    assert [(offline, kind) for offline, kind, _, _ in heard] == [(True, "LinkError")] * 4
    assert [code for _, _, code, _ in heard] == [12, 2, 12, 2]
    assert "out of memory" in heard[0][3] and "is_not_there" in heard[1][3]
