"""The vendor's Python device SDK, unchanged, updates itself from the hub."""

import argparse
import json
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from host_tests.peers.broker_everyway import Device, EveryWayHub
from host_tests.peers.test_hub_vendor import (
    ROOT,
    device_info,
    sdk_python,  # noqa: F401
)
from tools.hub.cli.client import HubClient

CONTENT = random.Random(1).randbytes(150_000)
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = EveryWayHub(tmp_path_factory.mktemp("hub"), http_port=0)
    yield server
    server.stop()


class Bench:
    """A device with the SDK, and version 1.1 uploaded for its product. (Its https cannot run on a
    Python of today: PROTOCOL.md 2.)"""

    def __init__(self, hub: EveryWayHub, python: Path, folder: Path) -> None:
        self.hub = hub
        self.device = Device(hub)
        self.file = folder / "FW_1.1.bin"
        self._python = python
        info = device_info(hub, self.device, folder)
        fields = json.loads(info.read_text()) | {"subDev": {"subdev_num": 0, "subdev_list": []}}
        info.write_text(json.dumps(fields))
        self._settings = {
            "port": hub.ports["tcp"], "device_file": str(info), "file": str(self.file),
        }  # fmt: skip
        upload = folder / "upload.bin"
        upload.write_bytes(CONTENT)
        client = HubClient(argparse.Namespace(api_port=hub.api_port))
        client.put_file(
            "products", hub.product_id, "firmware", "1.1", file=upload, told=lambda _sent: None
        )
        hub.call(
            "POST", f"/products/{hub.product_id}/updates", version="1.1",
            devices=[self.device.name], plain_http=True,
        )  # fmt: skip

    def boot(self, version: str = "1.0", **settings: Any) -> list[dict[str, Any]]:
        """What the program told."""
        done = subprocess.run(
            [self._python, ROOT / "host_tests/peers/vendor_ota.py"],
            input=json.dumps({**self._settings, "version": version, **settings}) + "\n",
            capture_output=True, text=True, timeout=TIMEOUT_S, cwd=self.file.parent,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def update(self, state: str) -> dict[str, Any]:
        """The hub's word on it, once it is in that state."""
        deadline_s = time.monotonic() + 10
        while True:
            shown = self.hub.call("GET", f"/products/{self.hub.product_id}/updates")["updates"]
            (found,) = [u for u in shown if u["device"].endswith("/" + self.device.name)]
            if found["state"] == state:
                return dict(found)
            assert time.monotonic() < deadline_s, found
            time.sleep(0.05)


@pytest.fixture
def bench(hub, sdk_python, tmp_path):  # noqa: F811
    return Bench(hub, sdk_python, tmp_path)


def test_it_completes(bench):
    answer, begun, checked = bench.boot()
    assert answer["answer"]["type"] == "report_version_rsp"
    assert begun == {"offset": 0, "size": len(CONTENT), "version": "1.1", "started": 0}
    assert checked == {"checked": 0}
    assert bench.file.read_bytes() == CONTENT
    assert bench.update("done")["percent"] == 100
    assert bench.boot("1.1", patience_s=0.5)[1:] == [{"offered": False}]


def test_it_goes_on_after_it_was_killed(bench):
    bench.boot(stop_at=60_000)
    assert bench.update("downloading")["version"] == "1.1"
    begun = bench.boot()[1]
    assert begun["offset"] == 60_000
    assert bench.file.read_bytes() == CONTENT
    bench.update("done")


def test_it_tells_that_the_md5_is_wrong(bench):
    # (Of a 403 over plain HTTP it tells nothing: that branch of it does not look at the status.)
    path = f"{bench.hub.product_id}/{bench.device.name}"
    bench.hub.call("POST", "/faults", kind="ota_wrong_md5", device=path)
    bench.boot()
    assert bench.update("fail")["result_code"] == -4
