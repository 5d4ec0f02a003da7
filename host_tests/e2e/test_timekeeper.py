"""Asking for the time may fail in many ways; it is asked for again, as long as the device runs."""

import json

import pytest

from host_tests.e2e.device_program import run_text

PROGRAM = """
import asyncio, json, sys
from iothub import timeouts
timeouts.TIME_ANSWER_MS = timeouts.TIME_RETRY_MS = 1
from iothub import device as module
from iothub.config import Config
from iothub.errors import LinkError, NotConnected, QueueFull

WRONG = sys.argv[1]
asked = []

LOADING = {"ImportError": ImportError, "ValueError": ValueError, "MemoryError": MemoryError}

class Module:
    def __getattr__(self, name):
        raise LOADING[WRONG]("incompatible .mpy file: " + name)

def publish_nowait(topic, payload, qos=0):
    asked.append(topic)
    sys.modules.pop("iothub.services.ntp", None)
    if len(asked) < 3 and WRONG not in LOADING:
        raise {"LinkError": LinkError, "NotConnected": NotConnected, "QueueFull": QueueFull}[
            WRONG
        ]("the link went away just now")

async def online(timeout_ms):
    asked.append(None)
    if WRONG in LOADING:
        sys.modules["iothub.services.ntp"] = Module()
        if len(asked) > 2:
            del sys.modules["iothub.services.ntp"]

async def main():
    device = module.Device(Config(json.loads(sys.argv[2])))
    device.session.publish_nowait = publish_nowait
    device.session.online = online
    keeper = asyncio.create_task(device._keep_time())
    while len(asked) < 6 and not keeper.done():
        await asyncio.sleep_ms(1)
    print(json.dumps([len(asked), keeper.done()]))

asyncio.run(asyncio.wait_for(main(), 10))
"""
CONFIG = {
    "product_id": "ABCDE12345",
    "device_name": "d",
    "device_secret": "c2VjcmV0c2VjcmV0",
    "host": "127.0.0.1",
    "transport": "tcp",
}


@pytest.mark.parametrize(
    "wrong",
    ["LinkError", "NotConnected", "QueueFull", "ImportError", "ValueError", "MemoryError"],
)
def test_the_time_is_asked_for_again(tmp_path, wrong):
    asked, is_over = run_text(PROGRAM, tmp_path, wrong, json.dumps(CONFIG))
    assert asked >= 6 and not is_over
