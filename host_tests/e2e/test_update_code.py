"""The code of an update is loaded for it: where that fails the update fails, with the reason, and
nothing of it stays; the next one loads it again."""

import json
import shutil

import pytest

from host_tests.e2e.device_program import ROOT, run_text
from host_tests.e2e.test_timekeeper import CONFIG

PROGRAM = """
import asyncio, json, os, sys
config, folder, path = sys.argv[1:]
sys.path.insert(0, folder)
from iothub import Device
from iothub.config import Config
from iothub.services import ota as service

UPDATE = {
    "type": "update_firmware", "version": "0.2", "url": "http://127.0.0.1/file",
    "md5sum": "36eb5951179db14a631463a37a9322a2", "file_size": 100000,
}

class Place:
    rolled_back = None

async def fails(ota, told):
    ota.received(b"", json.dumps(UPDATE).encode())
    while not told or ota.state != service.FAIL:
        await asyncio.sleep_ms(1)
    await asyncio.sleep_ms(1)
    left = [name for name in LOADED if name in sys.modules]
    return [str(told.pop()), left, ota.update is None, ota.record is None]

async def main():
    told = []
    device = Device(Config(json.loads(config)), lambda what, detail: told.append(detail))
    ota = device.ota
    ota.start("0.1", Place())
    missing = folder + "/iothub/" + path + ".py"
    os.rename(missing, missing + ".away")
    found = [await fails(ota, told)]
    os.rename(missing + ".away", missing)
    found.append(await fails(ota, told))
    print(json.dumps(found))

LOADED = (
    "iothub.services.ota_messages", "iothub.services.ota_update", "iothub.services.ota_end",
    "iothub.net.stages", "iothub.net.fetch", "iothub.net.follow", "iothub.net.http",
    "iothub.update.checks", "iothub.update.download",
)

asyncio.run(asyncio.wait_for(main(), 10))
"""


@pytest.mark.parametrize(
    "path", ["net/stages", "update/writer", "update/checks", "net/fetch", "net/follow"]
)
def test_an_update_whose_code_is_missing_fails_and_the_next_one_loads_it(tmp_path, path):
    shutil.copytree(ROOT / "firmware/lib/iothub", tmp_path / "iothub")
    lost, refused = run_text(PROGRAM, tmp_path, json.dumps(CONFIG), str(tmp_path), path)
    name = "iothub." + path.replace("/", ".")
    assert name in lost[0] and "missing or damaged" in lost[0]
    assert "is not https" in refused[0]
    for _, left, is_over, is_forgotten in (lost, refused):
        assert left == [] and is_over and is_forgotten


UNHEARD = (
    PROGRAM.partition("async def fails")[0]
    + """
async def main():
    told = []
    device = Device(Config(json.loads(config)), lambda what, detail: told.append(detail))
    device.ota.start("0.1", Place())
    os.remove(folder + "/iothub/" + path + ".py")
    device.ota.received(b"", json.dumps(UPDATE).encode())
    while not told:
        await asyncio.sleep_ms(1)
    print(json.dumps([str(told[0]), device.ota.state]))

asyncio.run(asyncio.wait_for(main(), 10))
"""
)


def test_a_message_whose_code_is_missing_is_told(tmp_path):
    shutil.copytree(ROOT / "firmware/lib/iothub", tmp_path / "iothub")
    path = "services/ota_messages"
    reason, state = run_text(UNHEARD, tmp_path, json.dumps(CONFIG), str(tmp_path), path)
    assert "iothub.services.ota_messages" in reason and state == 0
