"""The cloud may want the next version as soon as it knows of the one before, in the same moment in
which that one's record is forgotten."""

import json

from host_tests.e2e.device_program import run_text
from host_tests.e2e.test_timekeeper import CONFIG

PROGRAM = """
import asyncio, json, sys
from iothub import Device
from iothub.config import Config
from iothub.net.ota import DeviceOta
from iothub.services import ota as service
from iothub.update import resume

async def finish(self, error=None):
    if sys.argv[2] == "next":
        self.record = resume.Record("1.2", b"2" * 16, 600)

DeviceOta.finish = finish

async def main():
    ota = Device(Config(json.loads(sys.argv[1]))).ota
    ota.record = resume.Record("1.1", b"1" * 16, 500)
    ota.save(resume.INSTALLED)
    ota.state = service.BURNING
    await ota.settle()
    print(json.dumps([ota.record and ota.record.version, resume.load(ota._journal) is None]))

asyncio.run(main())
"""


def test_a_version_that_is_settled_is_forgotten(tmp_path):
    assert run_text(PROGRAM, tmp_path, json.dumps(CONFIG), "nothing") == [None, True]


def test_the_record_of_the_next_version_is_not(tmp_path):
    version, _ = run_text(PROGRAM, tmp_path, json.dumps(CONFIG), "next")
    assert version == "1.2"
