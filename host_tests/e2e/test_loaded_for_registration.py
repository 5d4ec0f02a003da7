"""The code that registers a device is loaded for its first start, and gone afterwards."""

import asyncio
import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from host_tests.e2e.device_program import ROOT, run_text
from host_tests.e2e.let_go import WEIGHED
from host_tests.e2e.scenario import run
from host_tests.peers.gateway_server import (
    DEVICE_SECRET,
    HOST,
    PRODUCT_ID,
    PRODUCT_SECRET,
    GatewayServer,
)

PROGRAM = (
    WEIGHED
    + """
import json, os
from iothub import Device
from iothub.errors import LinkError

if "iothub" in os.listdir():
    sys.path.insert(0, "")
try:
    device = Device.from_file("device.json")
except LinkError as e:
    print(json.dumps([e.reason, e.errno, "missing or damaged" in e.hint]))
else:
    print(json.dumps([device.config["secret"].text.decode(), weighed, held()]))
"""
)
CODE = {"iothub.net.http", "iothub.net.signed", "iothub.net.register"}


async def start(folder: Path, port: int) -> Any:
    """What a device tells that is started with the configuration in `folder`."""
    path = folder / "device.json"
    if not path.exists():
        fields = {
            "product_id": PRODUCT_ID,
            "device_name": "dev01",
            "product_secret": PRODUCT_SECRET,
            "transport": "tcp",
            "http": {"transport": "http", "host": HOST, "port": port},
        }
        path.write_text(json.dumps(fields))
    return await asyncio.to_thread(run_text, PROGRAM, folder)


def gateway() -> GatewayServer:
    return GatewayServer(lambda fields: {"encryptionType": 2, "psk": DEVICE_SECRET})


def test_it_is_gone_once_the_device_is_registered(tmp_path):
    async def scenario():
        async with gateway() as server:
            secret, weighed, held = await start(tmp_path, server.port)
            assert secret == DEVICE_SECRET and held == 0
            assert {*weighed} >= CODE
            # From now on it is not even looked for.
            secret, weighed, held = await start(tmp_path, server.port)
            assert secret == DEVICE_SECRET and held == 0
            assert not {*weighed} & CODE
            assert server.devices == ["dev01"]

    run(scenario)


@pytest.mark.parametrize("name", ["net/register", "net/signed"])
def test_a_device_that_cannot_load_it_says_so(tmp_path, name):
    library = tmp_path / "iothub"
    shutil.copytree(ROOT / "firmware/lib/iothub", library)
    (library / (name + ".py")).rename(tmp_path / "kept.py")

    async def scenario():
        async with gateway() as server:
            module = "iothub." + name.replace("/", ".")
            reason = f"{module}: no module named '{module}'"
            assert await start(tmp_path, server.port) == [reason, errno.ENOENT, True]
            # Nothing was lost by it.
            (tmp_path / "kept.py").rename(library / (name + ".py"))
            assert (await start(tmp_path, server.port))[0] == DEVICE_SECRET

    run(scenario)
