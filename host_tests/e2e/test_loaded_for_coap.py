"""The code that speaks CoAP is loaded for each message; between two there is the connection."""

import asyncio
import errno
import json

from host_tests.e2e.device_program import run_text
from host_tests.e2e.let_go import WEIGHED
from host_tests.e2e.scenario import run
from host_tests.e2e.test_timekeeper import CONFIG
from host_tests.peers.coap_servers import CoapCloud

PROGRAM = (
    WEIGHED
    + """
import asyncio, json
from iothub import Device
from iothub.errors import LinkError
from iothub.net import coap as publisher

CODE = "iothub.net.coap_client"

def no_memory(name):
    raise MemoryError

async def main():
    coap = Device.from_file("device.json").coap
    found = [held()]
    for text in ("one", "two"):
        weighed.clear()
        await coap.publish("event", text)
        found.append([CODE in weighed, CODE in sys.modules, held()])
    stream = coap._stream
    for_now, publisher.for_now = publisher.for_now, no_memory
    try:
        await coap.publish("event", "lost")
    except MemoryError:
        found.append(coap._stream is stream)  # nothing is wrong with it
    publisher.for_now = for_now
    await coap.publish("event", "three")
    path = sys.path[:]
    sys.path.clear()
    try:
        await coap.publish("event", "lost")
    except LinkError as e:
        found.append([e.reason, e.errno])
    sys.path.extend(path)
    await coap.publish("event", "four")
    coap.close()
    found.append(held())
    print(json.dumps(found))

asyncio.run(asyncio.wait_for(main(), 20))
"""
)


def test_coap_is_loaded_for_each_message(tmp_path):
    async def scenario():
        async with CoapCloud() as cloud:
            settings = {"transport": "udp", "host": "127.0.0.1", "port": cloud.port}
            (tmp_path / "device.json").write_text(json.dumps({**CONFIG, "coap": settings}))
            found = await asyncio.to_thread(run_text, PROGRAM, tmp_path)
            before, *moments, stays, missing, after = found
            assert before == after == 0
            assert moments == [[True, False, 0]] * 2
            assert stays is True
            assert missing == ["iothub.net.coap_client: no module named 'iothub'", errno.ENOENT]
            assert [text for _, text in cloud.published] == [b"one", b"two", b"three", b"four"]
            # The first three went over one connection; a LinkError ends it.
            assert len(cloud.authentications) == 2

    run(scenario)
