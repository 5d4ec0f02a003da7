"""The cloud may want the next version as soon as it knows of the one before, in the same moment in
which that one's record is forgotten."""

import json
import subprocess
from pathlib import Path
from typing import Any

from host_tests.e2e.device_program import MICROPYTHON, ROOT

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
CONFIG = {
    "product_id": "ABCDE12345",
    "device_name": "d",
    "device_secret": "c2VjcmV0c2VjcmV0",
    "host": "127.0.0.1",
    "transport": "tcp",
}


def settled(folder: Path, what: str) -> list[Any]:
    """[version of the record that is left, whether the journal is empty]"""
    program = folder / "program.py"
    program.write_text(PROGRAM, "utf-8")
    done = subprocess.run(
        [str(MICROPYTHON), str(program), json.dumps(CONFIG), what],
        env={"MICROPYPATH": f"{ROOT / 'firmware/lib'}:.frozen"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_version_that_is_settled_is_forgotten(tmp_path):
    assert settled(tmp_path, "nothing") == [None, True]


def test_the_record_of_the_next_version_is_not(tmp_path):
    version, _ = settled(tmp_path, "next")
    assert version == "1.2"
