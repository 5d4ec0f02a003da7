"""A good version is confirmed, also where the flash or the heap has no room for that at first."""

import pytest

from host_tests.e2e.device_program import run_text

PROGRAM = """
import asyncio, json, sys
from iothub.errors import StorageError
from iothub.mqtt.engine import ONLINE_AGAIN
from iothub.net import trial

trial.TICK_MS = 1
failures = int(sys.argv[1])
told = []

class Slots:
    on_trial = True
    tried = 0
    def confirm(self):
        self.tried += 1
        if self.tried <= failures:
            raise (MemoryError(), StorageError("no room", None, 28))[self.tried & 1]
        self.on_trial = False
    def give_up(self, why):
        told.append("given up")

class Services:
    def spawn(self, coroutine):
        return asyncio.create_task(coroutine)
    def report(self, error):
        told.append(type(error).__name__)

class Device:
    listeners = []
    services = Services()

async def main():
    judge = trial.Judge(Device, Slots(), None)
    judging = asyncio.create_task(judge.verdict())
    Device.listeners[0](ONLINE_AGAIN, False)
    print(json.dumps([await judging, told]))

asyncio.run(asyncio.wait_for(main(), 10))
"""


@pytest.mark.parametrize("failures", [0, 3])
def test_confirming_is_tried_again(tmp_path, failures):
    is_good, told = run_text(PROGRAM, tmp_path, str(failures))
    assert is_good
    assert told == ["StorageError", "MemoryError", "StorageError"][:failures]
