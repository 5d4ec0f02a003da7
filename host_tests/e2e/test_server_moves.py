"""A name may lead to another address tomorrow, while something else answers at the old one. An
address is used as long as it works, and no longer: else only a restart would help."""

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import run_text
from tools.bench.mosquitto import Mosquitto

pytestmark = requires("mosquitto")

# The port stands for the address: both are what getaddrinfo() gives.
BEGIN = """
import asyncio, json, sys
from iothub.errors import LinkError
from iothub.net.endpoint import Endpoint
old, new = int(sys.argv[1]), int(sys.argv[2])
endpoint = Endpoint("127.0.0.1", old)
"""

SESSION = """
from iothub.mqtt.backoff import Backoff
from iothub.net.session import OFFLINE, Session
from iothub.profiles import Plain

def hear(what, detail):
    if what == OFFLINE:
        endpoint.port = new

async def main():
    backoff = Backoff(lambda below: 0)
    login = lambda: (b"device", None, None)
    session = Session(endpoint, login, Plain(), backoff=backoff, on_event=hear)
    running = asyncio.create_task(session.run())
    await session.online(5000)
    await session.stop()
    print(json.dumps("there"))

asyncio.run(main())
"""

BLOCKING = """
from iothub.net.mqtt import MQTTClient
client = MQTTClient("device", "", endpoint=endpoint)
try:
    client.connect()
except LinkError:
    endpoint.port = new
    client.connect()
    client.disconnect()
    print(json.dumps("there"))
"""

HTTP = """
from iothub.net.http import Client

async def main():
    client = Client(endpoint, "127.0.0.1")
    try:
        await client.request("GET", "/")
    except LinkError:
        endpoint.port = new
        response = await client.request("GET", "/")
        client.close()
        print(json.dumps("there" if response.status == 200 else response.status))

asyncio.run(main())
"""


@contextmanager
def stranger() -> Iterator[int]:
    """The port of a server that takes connections and hangs up when it is spoken to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    link, _ = listening.accept()
                except OSError:
                    return
                with link:
                    link.recv(1000)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


@contextmanager
def web_server(folder: Path) -> Iterator[int]:
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("client", [SESSION, BLOCKING], ids=["session", "blocking"])
def test_mqtt_asks_for_the_address_again(tmp_path, client):
    with stranger() as old, Mosquitto(tmp_path) as broker:
        assert run_text(BEGIN + client, tmp_path, str(old), str(broker.port)) == "there"


def test_http_asks_for_the_address_again(tmp_path):
    with stranger() as old, web_server(tmp_path) as new:
        assert run_text(BEGIN + HTTP, tmp_path, str(old), str(new)) == "there"
