"""An upload of the log may fail in many ways; the next one is tried all the same."""

import json

import pytest

from host_tests.e2e.device_program import run_text
from host_tests.e2e.test_timekeeper import CONFIG

PROGRAM = """
import asyncio, json, sys
from iothub import Device
from iothub.config import Config
from iothub.errors import LinkError
from iothub.net import log as module
from iothub.net import signed

module.LOG_FLUSH_MS = module.LOG_RETRY_MS = 1
WRONG = {"LinkError": LinkError, "MemoryError": MemoryError}
tried = []

def of_device(device):
    tried.append(1)
    raise WRONG[sys.argv[1]]("it does not leave")

signed.of_device = of_device

async def main():
    log = Device(Config(json.loads(sys.argv[2]))).log
    log.wants_to_leave = lambda is_online: True
    for _ in range(1000):
        await asyncio.sleep_ms(1)
        if len(tried) >= 3:
            break
    print(json.dumps([len(tried), log.failures >= 2, type(log.last_error).__name__]))

asyncio.run(main())
"""


@pytest.mark.parametrize("wrong", ["LinkError", "MemoryError"])
def test_the_next_upload_is_tried(tmp_path, wrong):
    tried, has_counted, kind = run_text(PROGRAM, tmp_path, wrong, json.dumps(CONFIG))
    assert (tried >= 3, has_counted, kind) == (True, True, wrong)


WRITES = """
import asyncio, json, sys
from iothub import Device
from iothub.config import Config

async def main():
    log = Device(Config(json.loads(sys.argv[1]))).log
    log.error("dialled with 73519862 and long-enough")
    print(log.batch().decode())

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "network",
    [{"apn": "iot", "password": 73519862}, ["73519862", {"password": "73519862"}]],
    ids=["a modem's", "of any shape"],
)
def test_what_a_network_is_told_is_no_line_of_the_log(tmp_path, network):
    fields = {**CONFIG, "network": network}
    (line,) = run_text(WRITES, tmp_path, json.dumps(fields))["Message"]
    assert line.endswith("dialled with *** and long-enough")
