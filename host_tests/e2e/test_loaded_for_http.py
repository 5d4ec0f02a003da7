"""What speaks HTTP is loaded while it is used, and let go of by the last that uses it."""

import errno
import json

from host_tests.e2e.device_program import run_text
from host_tests.e2e.test_timekeeper import CONFIG

PROGRAM = """
import asyncio, json, sys
from iothub import Device
from iothub.config import Config
from iothub.errors import BadInput, LinkError

def loaded():
    assert "iothub.net.http" not in sys.modules  # it goes with the other
    return "iothub.net.signed" in sys.modules

async def fails(coroutine):
    try:
        await coroutine
    except LinkError as e:
        return e.reason, e.code
    raise AssertionError("nobody listens there")

async def main():
    device = Device(Config(json.loads(sys.argv[1])))
    device.log.error("to be uploaded")
    http = device.http
    found = [loaded()]
    await fails(device.log.flush())
    found.append(loaded())
    await fails(http.publish("event", "x"))
    found.append(loaded())
    signed = sys.modules["iothub.net.signed"]
    await asyncio.gather(fails(device.log.flush()), fails(device.log.flush()))
    assert sys.modules["iothub.net.signed"] is signed
    http.close()
    http.close()
    found.append(loaded())
    await fails(http.publish("event", "x"))
    found.append(loaded())
    assert sys.modules["iothub.net.signed"] is not signed
    http.close()
    found.append(loaded())
    device.config["http"].clear()  # by TLS, then, which finds no trust anchors here
    try:
        await http.publish("event", "x")
    except BadInput as e:
        found.append(e.field == "ca" and loaded())
    sys.path.clear()
    found.append(await fails(http.publish("event", "x")))
    found.append(await fails(device.log.flush()))
    print(json.dumps(found))

asyncio.run(main())
"""


def test_http_is_loaded_while_it_is_used(tmp_path):
    gateway = {"transport": "http", "host": "127.0.0.1", "port": 1}
    config = json.dumps({**CONFIG, "http": gateway})
    *moments, publishing, uploading = run_text(PROGRAM, tmp_path, config)
    assert moments == [False, False, True, False, True, False, False]
    reason = "iothub.net.signed: no module named 'iothub'"
    assert publishing == uploading == [reason, errno.ENOENT]
