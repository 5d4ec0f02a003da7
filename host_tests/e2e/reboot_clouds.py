"""Two clouds for a device that is killed again and again: what they heard of it, and ways to lose
their memory of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from host_tests.e2e.application import Application
from host_tests.e2e.scenario import until
from tools.bench.mosquitto import Mosquitto
from tools.hub import Hub, HubConfig
from tools.hub.application import publish

_PRODUCT_ID = "PRODUCTID1"
_STORED_INTERVAL_MS = 500  # by the documents; the hub's default


class Cloud:
    """`settings` are the device's configuration. `stored_interval_ms`: how far apart stored
    messages come."""

    stored_interval_ms = 0

    def __init__(self, port: int, product_id: str, secret: str) -> None:
        self.port = port
        self.prefix = f"{product_id}/device/"
        self.settings: dict[str, Any] = {
            "product_id": product_id,
            "device_name": "device",
            "device_secret": secret,
            "host": "127.0.0.1",
            "transport": "tcp",
            "clean_session": False,
        }

    def heard(self) -> list[str]:
        """The payloads of the device's events, in order."""
        raise NotImplementedError

    async def send(self, name: str, text: str) -> None:
        """A QoS 1 message for the device."""
        raise NotImplementedError

    async def notices_it_is_gone(self) -> None:
        """Waits until what is sent from now on is stored; where that makes no difference, not."""

    async def forget_session(self) -> None:
        """The next login finds none; the link may break."""
        raise NotImplementedError


class _MosquittoCloud(Cloud):
    """Its sessions are in RAM: a restart loses them."""

    def __init__(self, broker: Mosquitto, app: Application) -> None:
        super().__init__(broker.port, _PRODUCT_ID, "lDZ6Uqt+I9E0wW7rvDUs7Q==")
        self._broker = broker
        self._app = app

    def heard(self) -> list[str]:
        return [message.payload.decode() for message in self._app.messages]

    async def send(self, name: str, text: str) -> None:
        await self._app.publish(self.prefix + name, text)

    async def forget_session(self) -> None:
        await asyncio.to_thread(self._broker.stop)
        await asyncio.to_thread(self._broker.start)


class _HubCloud(Cloud):
    """It loses a session when asked to."""

    stored_interval_ms = _STORED_INTERVAL_MS

    def __init__(self, hub: Hub, product_id: str, secret: str) -> None:
        super().__init__(hub.mqtt_port, product_id, secret)
        self._hub = hub

    def heard(self) -> list[str]:
        rows = self._hub.store.query(
            "SELECT payload FROM message WHERE topic = ? ORDER BY id", (self.prefix + "event",)
        )
        return [payload.decode() for (payload,) in rows]

    async def send(self, name: str, text: str) -> None:
        publish(self._hub.broker, self._hub.registry, self.prefix + name, text.encode(), 1)

    async def notices_it_is_gone(self) -> None:
        await until(lambda: not list(self._hub.broker.logged_in()))

    async def forget_session(self) -> None:
        faults = self._hub.faults
        faults.arm("forget_session", None, 1, {})
        for connection in self._hub.broker.logged_in():
            connection.abort("a test lets the hub forget")


@contextlib.asynccontextmanager
async def mosquitto(directory: Path) -> AsyncIterator[Cloud]:
    with Mosquitto(directory) as broker:
        async with Application(broker.port, f"{_PRODUCT_ID}/device/event") as app:
            yield _MosquittoCloud(broker, app)


@contextlib.asynccontextmanager
async def hub(_directory: Path) -> AsyncIterator[Cloud]:
    async with Hub(HubConfig(mqtt_port=0, api_port=0)) as running:
        product_id = running.registry.add_product("reboot").product_id
        secret = running.registry.add_device(product_id, "device").secret
        assert secret is not None
        yield _HubCloud(running, product_id, secret)


CLOUDS = {"mosquitto": mosquitto, "hub": hub}
