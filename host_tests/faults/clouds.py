"""Two clouds for one exchange: each hears a device's messages and answers every new one."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

from host_tests.e2e.application import Application, Message
from tools.bench.mosquitto import Mosquitto
from tools.hub import Hub, HubConfig
from tools.hub.application import publish
from tools.hub.events import Watcher


class Login(NamedTuple):
    """`password` is None where TLS proves the device."""

    client_id: str
    user: str
    password: str | None


class Cloud:
    """The device publishes to the topic `up`; each message that was not heard before is sent back
    to it on the topic `down`. `heard` are the payloads of the present run. `layers` tell the
    device what is above TCP on `port`; `plain_port` is TCP alone."""

    def __init__(self, port: int, login: Login, up: str, down: str) -> None:
        self.port = port
        self.login = login
        self.up = up
        self.down = down
        self.plain_port = port
        self.plain_login = login
        self.layers: dict[str, str] = {}
        self.heard: list[bytes] = []
        self._run = b""

    def begin(self, run: str) -> None:
        """From now on only messages that begin so count: others are late ones of earlier runs."""
        self.heard.clear()
        self._run = run.encode()

    def hears(self, payload: bytes) -> bool:
        """Whether the message is to be answered."""
        if not payload.startswith(self._run):
            return False
        self.heard.append(payload)
        return self.heard.count(payload) == 1


@contextlib.asynccontextmanager
async def mosquitto(directory: Path) -> AsyncIterator[Cloud]:
    with Mosquitto(directory) as broker:
        cloud = Cloud(broker.port, Login("device", "user", "password"), "up", "down")
        async with Application(broker.port, cloud.up) as app:

            def answer(message: Message) -> None:
                if cloud.hears(message.payload):
                    app.send(cloud.down, message.payload)

            app.on_message = answer
            yield cloud


@contextlib.asynccontextmanager
async def hub(_directory: Path) -> AsyncIterator[Cloud]:
    # The 500 ms between stored messages are the documents'; a sweep has not the time.
    config = HubConfig(mqtt_port=0, api_port=0, stored_interval_ms=1)
    async with Hub(config) as running:
        product_id = running.registry.add_product("sweep").product_id
        secret = running.registry.add_device(product_id, "device").secret
        assert secret is not None
        cloud = Cloud(
            running.mqtt_port,
            signed_login(product_id, "device", secret),
            f"{product_id}/device/event",
            f"{product_id}/device/control",
        )
        watcher = Watcher()
        running.records.watchers.add(watcher)

        async def answer() -> None:
            while passed := await watcher.next():
                _, direction, _, topic, payload, _ = passed
                if direction == "in" and topic == cloud.up and cloud.hears(payload):
                    publish(running.broker, running.registry, cloud.down, payload, 1)

        answering = asyncio.create_task(answer())
        yield cloud
        watcher.end()
        await answering
        assert not watcher.missed


def signed_login(product_id: str, device_name: str, secret: str) -> Login:
    """A login as the documents sign it, by the standard library's HMAC."""
    user = f"{product_id}{device_name};12010126;sweep;9999999999"
    digest = hmac.new(base64.b64decode(secret), user.encode(), hashlib.sha256).hexdigest()
    return Login(product_id + device_name, user, digest + ";hmacsha256")


CLOUDS = {"mosquitto": mosquitto, "hub": hub}
