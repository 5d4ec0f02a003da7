"""Code that is loaded to connect may fail to load: that is a lost link, and tried again; but not
for ever, since a file that is missing or damaged stays so."""

import shutil
import socket

import pytest

from host_tests.e2e.device_program import ROOT, run_text
from tools.pki import make_authority

PROGRAM = """
import asyncio, json
from iothub.loading import for_now
from iothub.mqtt.backoff import Backoff
from iothub.net.session import OFFLINE, Session
from iothub.profiles import Plain

class Endpoint:
    tries = 0
    async def open(self):
        self.tries += 1
        if self.tries % 2 or self.tries > 4:
            raise MemoryError()
        for_now("iothub.net.is_not_there")
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


def test_a_session_goes_on_without_the_code_to_connect(tmp_path):
    heard = run_text(PROGRAM, tmp_path)
    assert [(offline, kind) for offline, kind, _, _ in heard] == [(True, "LinkError")] * 4
    assert [code for _, _, code, _ in heard] == [12, 2, 12, 2]
    assert "out of memory" in heard[0][3] and "is_not_there" in heard[1][3]


DEVICE = """
import asyncio, json, os, sys
folder, path, content, transport, port = sys.argv[1:]
sys.path.insert(0, folder)
from iothub import Device
from iothub.config import Config
from iothub.mqtt.backoff import Backoff

fields = {
    "product_id": "A1B2C3D4E5", "device_name": "dev01", "device_secret": "c2VjcmV0",
    "transport": transport, "host": "127.0.0.1", "port": int(port), "network": {"ssid": "none"},
}
if transport == "tls":
    fields["ca"] = folder + "/root.der"
Backoff.next_ms = lambda self: 0
heard = []

async def main():
    device = Device(Config(fields), lambda what, detail: heard.append(detail.errno))
    os.remove(folder + "/iothub/" + path + ".py")
    if content:
        with open(folder + "/iothub/" + path + ".mpy", "wb") as file:
            file.write(bytes.fromhex(content))
    try:
        await device.run()
    except OSError as e:
        heard.append([type(e).__name__, e.errno, e.phase, e.reason, e.hint])

asyncio.run(asyncio.wait_for(main(), 20))
print(json.dumps(heard))
"""
ENOENT = 2
ANOTHER_BUILD = b"M\x05\x00\x1f" + bytes(100)
DAMAGED = b"\xff" * 100
NOTHING = b""
UNFIT = ": incompatible .mpy file"


@pytest.mark.parametrize(
    ("path", "content", "transport", "reason"),
    [
        (
            "net/transport",
            NOTHING,
            "tcp",
            "iothub.net.transport: no module named 'iothub.net.transport'",
        ),
        ("net/transport", ANOTHER_BUILD, "tcp", "iothub.net.transport" + UNFIT),
        ("net/transport", DAMAGED, "tls", "iothub.net.transport" + UNFIT),
        ("net/access", ANOTHER_BUILD, "tcp", "iothub.net.access" + UNFIT),
        ("mqtt/login", DAMAGED, "tcp", "iothub.mqtt.login" + UNFIT),
    ],
    ids=["missing", "of another build", "damaged, TLS", "of another build, login", "CONNECT"],
)
def test_code_that_never_loads_ends_it(tmp_path, path, content, transport, reason):
    shutil.copytree(ROOT / "firmware/lib/iothub", tmp_path / "iothub")
    (tmp_path / "root.der").write_bytes(make_authority("desk").certificate_der)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        given = [str(tmp_path), path, content.hex(), transport, str(port)]
        *lost, last = run_text(DEVICE, tmp_path, *given)
    assert lost == [ENOENT] * 4
    assert last[:4] == ["LinkError", ENOENT, "connect", reason]
    assert "missing or damaged" in last[4]


BLOCKING = """
import json, sys
from iothub.errors import LinkError
from iothub.loading import NO_CODE
from iothub.mqtt import engine
from iothub.net.mqtt import MQTTClient

told = []
for wrong in (MemoryError(), LinkError("cannot load it", None, NO_CODE)):
    def load(name):
        raise wrong
    loading, engine.for_now = engine.for_now, load
    client = MQTTClient("device", "127.0.0.1", int(sys.argv[1]))
    try:
        client.connect()
    except (MemoryError, LinkError) as e:
        told.append([e is wrong, client.sock is None])
    engine.for_now = loading
print(json.dumps(told))
"""


def test_the_blocking_client_hangs_up_without_the_code_to_connect(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        told = run_text(BLOCKING, tmp_path, str(server.getsockname()[1]))
    assert told == [[True, True]] * 2
