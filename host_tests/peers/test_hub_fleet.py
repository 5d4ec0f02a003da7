"""A thousand devices that lose their hub at once, and come back to it at once."""

import asyncio
import resource
import signal
import ssl
import time

import pytest

from host_tests.faults.fleet import make_accounts
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


class FleetDevice:
    """One connection with a persistent session; what it is answered, it expects."""

    def __init__(self, login: Login, port: int, context: ssl.SSLContext | None) -> None:
        self._login = login
        self._port = port
        self._context = context
        self._opened: list[asyncio.StreamWriter] = []

    async def connect(self, present: bool) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._context
        )
        self._opened.append(self._writer)
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

    def abort(self) -> None:
        """Closes its sockets at once, whatever state they are in."""
        for writer in self._opened:
            writer.transport.abort()


@pytest.mark.parametrize("listener", ["mqtt", "tls"])
def test_a_fleet_comes_back_to_a_hub_that_was_killed(tmp_path, many_files, listener, capsys):
    accounts = asyncio.run(make_accounts(tmp_path / "data", DEVICES))
    logins = [signed_login(each.product_id, each.device_name, each.secret) for each in accounts]
    hub = Process(tmp_path / "data", "--quiet", "--log-level", "warning")
    try:
        port, context = hub.ready[f"{listener}_port"], None
        if listener == "tls":
            context = ssl.create_default_context(cafile=hub.data / "ca/ca.pem")
        fleet = [FleetDevice(login, port, context) for login in logins]

        async def come(present: bool) -> float:
            started = time.monotonic()
            await asyncio.gather(*(device.connect(present) for device in fleet))
            return time.monotonic() - started

        async def live() -> tuple[float, float]:
            try:
                first_s = await come(present=False)
                await asyncio.gather(*(device.subscribe() for device in fleet))
                again = restart(hub)
                await asyncio.gather(*(device.lost() for device in fleet))
                hub.process = again.process
                second_s = await come(present=True)
                await asyncio.gather(*(device.disconnect() for device in fleet))
                return first_s, second_s
            finally:
                for device in fleet:
                    device.abort()

        first_s, second_s = asyncio.run(asyncio.wait_for(live(), TIMEOUT_S))
        assert hub.json("health")["connections"] == 0
    finally:
        hub.end(signal.SIGKILL)
    printed = hub.output.read_text()
    assert printed == "", printed[-2000:]
    with capsys.disabled():
        print(f"\n{DEVICES} devices by {listener}: {first_s:.1f} s, after a kill {second_s:.1f} s")


def restart(hub: Process) -> Process:
    """Kill it, and start it again on the same ports and data."""
    hub.end(signal.SIGKILL)
    names = ("mqtt", "tls", "ws", "wss", "cloud", "http", "https", "coap", "api")
    ports = [option for name in names for option in (f"--{name}-port", hub.ready[f"{name}_port"])]
    return Process(hub.data, "--quiet", "--log-level", "warning", *ports)
