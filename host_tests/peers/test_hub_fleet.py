"""A thousand devices that lose their hub at once, and come back to it at once."""

import asyncio
import json
import resource
import signal
import ssl
import time
from http.client import HTTPConnection

import pytest

from host_tests.peers.broker_client import DISCONNECT_BYTES, Login, connect_bytes, subscribe_bytes
from host_tests.peers.broker_servers import signed_login
from host_tests.peers.test_broker_process import Process

DEVICES = 1000
TIMEOUT_S = 60


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Api:
    """One connection to the hub's API, kept for many calls."""

    def __init__(self, port: int) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)

    def call(self, method: str, path: str, **body: object):
        headers = {"Content-Type": "application/json"}
        self._connection.request(method, path, json.dumps(body), headers)
        return json.loads(self._connection.getresponse().read())


def add_fleet(api: Api) -> list[Login]:
    product_id = api.call("POST", "/products", name="fleet")["product_id"]
    logins = []
    for number in range(DEVICES):
        created = api.call("POST", f"/products/{product_id}/devices", name=f"dev{number}")
        logins.append(signed_login(product_id, f"dev{number}", created["device_secret"]))
    return logins


class FleetDevice:
    """One connection with a persistent session; what it is answered, it expects."""

    def __init__(self, login: Login, port: int, context: ssl.SSLContext | None) -> None:
        self._login = login
        self._port = port
        self._context = context

    async def connect(self, present: bool) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._context
        )
        self._writer.write(connect_bytes(self._login, clean=False, keepalive_s=0))
        assert await self._reader.readexactly(4) == bytes([0x20, 2, present, 0])

    async def subscribe(self) -> None:
        self._writer.write(subscribe_bytes(1, (self._login.topic("control"), 1)))
        assert await self._reader.readexactly(5) == b"\x90\3\0\1\1"

    async def lost(self) -> None:
        with pytest.raises((asyncio.IncompleteReadError, OSError)):
            await self._reader.readexactly(1)
        self._writer.close()

    async def disconnect(self) -> None:
        self._writer.write(DISCONNECT_BYTES)
        await self._writer.drain()
        assert await self._reader.read(1) == b""
        self._writer.close()


@pytest.mark.parametrize("listener", ["mqtt", "tls"])
def test_a_fleet_comes_back_to_a_hub_that_was_killed(tmp_path, many_files, listener, capsys):
    hub = Process(tmp_path / "data", "--quiet", "--log-level", "warning")
    try:
        logins = add_fleet(Api(hub.ready["api_port"]))
        port, context = hub.ready[f"{listener}_port"], None
        if listener == "tls":
            context = ssl.create_default_context(cafile=hub.data / "ca/ca.pem")
        fleet = [FleetDevice(login, port, context) for login in logins]

        async def come(present: bool) -> float:
            started = time.monotonic()
            await asyncio.gather(*(device.connect(present) for device in fleet))
            return time.monotonic() - started

        async def live() -> tuple[float, float]:
            first_s = await come(present=False)
            await asyncio.gather(*(device.subscribe() for device in fleet))
            again = restart(hub)
            await asyncio.gather(*(device.lost() for device in fleet))
            hub.process = again.process
            second_s = await come(present=True)
            await asyncio.gather(*(device.disconnect() for device in fleet))
            return first_s, second_s

        first_s, second_s = asyncio.run(asyncio.wait_for(live(), TIMEOUT_S))
        health = Api(hub.ready["api_port"]).call("GET", "/health")
        assert health["connections"] == 0
    finally:
        hub.end(signal.SIGKILL)
    printed = hub.output.read_text()
    assert printed == "", printed[-2000:]
    with capsys.disabled():
        print(f"\n{DEVICES} devices by {listener}: {first_s:.1f} s, after a kill {second_s:.1f} s")


def restart(hub: Process) -> Process:
    """Kill it, and start it again on the same ports and data."""
    hub.end(signal.SIGKILL)
    ports = [
        option
        for name in ("mqtt", "tls", "ws", "wss", "api")
        for option in (f"--{name}-port", hub.ready[f"{name}_port"])
    ]
    return Process(hub.data, "--quiet", "--log-level", "warning", *ports)
