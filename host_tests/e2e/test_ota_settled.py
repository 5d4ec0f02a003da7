"""The cloud may want the next version as soon as it knows of the one before, in the same moment in
which that one's record is forgotten."""

import json

from host_tests.e2e.device_program import run_text
from host_tests.e2e.test_timekeeper import CONFIG

PROGRAM = """
import asyncio, json, sys
from iothub import Device
from iothub.config import Config
from iothub.errors import NotConnected
from iothub.services import ota as service
from iothub.update import resume

async def main():
    ota = Device(Config(json.loads(sys.argv[1]))).ota

    async def publish(topic, payload, qos):
        if sys.argv[2] == "next":
            ota.record = resume.Record("1.2", b"2" * 16, 600)
        if sys.argv[2] == "offline":
            raise NotConnected("the sub-device is not online", "gateway")

    ota._publish = publish
    ota.record = resume.Record("1.1", b"1" * 16, 500)
    ota.save(resume.INSTALLED)
    ota.state = service.BURNING
    await ota.settle()
    print(json.dumps([ota.record and ota.record.version, resume.load(ota.journal) is None]))

asyncio.run(main())
"""


def test_a_version_that_is_settled_is_forgotten(tmp_path):
    assert run_text(PROGRAM, tmp_path, json.dumps(CONFIG), "nothing") == [None, True]


def test_so_is_that_of_a_sub_device_which_is_offline(tmp_path):
    assert run_text(PROGRAM, tmp_path, json.dumps(CONFIG), "offline") == [None, True]


def test_the_record_of_the_next_version_is_not(tmp_path):
    version, _ = run_text(PROGRAM, tmp_path, json.dumps(CONFIG), "next")
    assert version == "1.2"


SUB_DEVICE = """
import asyncio, json, sys
from iothub import Device
from iothub.config import Config

async def main():
    device = Device(Config(json.loads(sys.argv[1])))
    one, other = [device.gateway.sub_device("SUBPRODUCT", name) for name in ("one", "other")]
    of = device.ota.of
    ota = of(one)
    ota.version = "1.0"
    print(json.dumps([of(one) is ota, of(other) is ota]))

asyncio.run(main())
"""


def test_a_sub_device_has_one_ota_however_often_it_is_asked_for(tmp_path):
    assert run_text(SUB_DEVICE, tmp_path, json.dumps(CONFIG)) == [True, False]
