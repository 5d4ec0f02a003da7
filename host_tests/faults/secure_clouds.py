"""The two clouds behind TLS, TLS-PSK, WebSocket and both together, for several devices at once;
what the wire hides, their own records tell."""

import asyncio
import base64
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

from host_tests.e2e.application import Application, Message
from host_tests.e2e.scenario import until
from host_tests.faults.clouds import Cloud, Login, signed_login
from tools.bench.mosquitto import Mosquitto
from tools.hub import Hub, HubConfig
from tools.hub.application import publish
from tools.hub.events import PUBLISH_IN, Watcher
from tools.pki import issue, make_authority

HOST = "127.0.0.1"
PATH = "/mqtt"
WAYS = ("tls", "psk", "ws", "wss")
_KEY_HEX = "94367a52ab7e23d134c16eebbc352ced"
# mosquitto's log of a PUBLISH from the device of that number.
_RECEIVED = r"Received PUBLISH from \S+ \(d(?P<dup>[01]), q1, r0, m(?P<packet_id>\d+), 'up/{}',"


class Received(NamedTuple):
    """A PUBLISH as the server took it."""

    payload: bytes
    packet_id: int
    dup: bool


class RecordingCloud(Cloud):
    """`records()`: packet id and DUP of each PUBLISH the server took in the present run."""

    def records(self) -> list[tuple[int, bool]]:
        raise NotImplementedError

    async def received(self) -> list[Received]:
        """What the server took, in order."""
        # A message that comes again may not have been passed on yet.
        await until(lambda: len(self.heard) >= len(self.records()))
        return [
            Received(payload, *record)
            for payload, record in zip(self.heard, self.records(), strict=True)
        ]


class _MosquittoCloud(RecordingCloud):
    """Reads its log."""

    def __init__(self, port: int, name: str, password: str | None, log: Path) -> None:
        super().__init__(port, Login(name, name, password), f"up/{name}", f"down/{name}")
        self.plain_login = Login(name, name, "password")
        self._received = re.compile(_RECEIVED.format(name))
        self._log = log
        self._begin = 0

    def begin(self, run: str) -> None:
        super().begin(run)
        self._begin = self._log.stat().st_size

    def records(self) -> list[tuple[int, bool]]:
        with self._log.open() as log:
            log.seek(self._begin)
            found = self._received.finditer(log.read())
            return [(int(each["packet_id"]), each["dup"] == "1") for each in found]


class _HubCloud(RecordingCloud):
    """Asks its store."""

    def __init__(self, hub: Hub, way: str, product_id: str, name: str) -> None:
        port = hub.address.port(way)
        assert port is not None
        secret = hub.registry.add_device(product_id, name).secret
        assert secret is not None
        self._device = f"{product_id}/{name}"
        login = signed_login(product_id, name, secret)
        super().__init__(port, login, f"{self._device}/event", f"{self._device}/control")
        self.plain_port = hub.mqtt_port
        self._hub = hub
        self._begin = 0
        if way == "psk":
            self.layers["psk"] = base64.b64decode(secret).hex()
            self.login = login._replace(password=None)

    def begin(self, run: str) -> None:
        super().begin(run)
        self._begin = self._hub.store.highest_id("event")

    def records(self) -> list[tuple[int, bool]]:
        rows = self._hub.store.query(
            "SELECT detail FROM event WHERE device = ? AND id > ? AND kind = ? ORDER BY id",
            (self._device, self._begin, PUBLISH_IN),
        )
        details = [json.loads(detail) for (detail,) in rows]
        return [(detail["packet_id"], detail["dup"]) for detail in details]


@contextlib.asynccontextmanager
async def mosquitto(
    directory: Path, way: str, devices: int
) -> AsyncIterator[Sequence[RecordingCloud]]:
    """One cloud a device, in truth one broker."""
    with socket.create_server((HOST, 0)) as probe:
        port = probe.getsockname()[1]
    names = _names(devices)
    layers, settings = _mosquitto_layers(directory, way, names)
    settings = [
        *("per_listener_settings true", "allow_anonymous true", "log_type all"),
        *(f"listener {port} {HOST}", "allow_anonymous true", *settings),
    ]
    with Mosquitto(directory, tuple(settings)) as broker:
        password = None if way == "psk" else "password"
        clouds = [_MosquittoCloud(port, name, password, broker.log) for name in names]
        for cloud in clouds:
            cloud.plain_port = broker.port
            cloud.layers = layers
        by_topic = {cloud.up: cloud for cloud in clouds}
        async with Application(broker.port, "up/#") as app:

            def answer(message: Message) -> None:
                cloud = by_topic[message.topic]
                if cloud.hears(message.payload):
                    app.send(cloud.down, message.payload)

            app.on_message = answer
            yield clouds


def _names(devices: int) -> list[str]:
    """All of one length, so that their streams are."""
    return [f"device{i:02}" for i in range(devices)]


def _mosquitto_layers(
    directory: Path, way: str, names: list[str]
) -> tuple[dict[str, str], list[str]]:
    """What the devices are told of them, and the lines of the listener. TLS is mutual here."""
    layers: dict[str, str] = {}
    settings: list[str] = []
    if way in ("ws", "wss"):
        layers["path"] = PATH
        settings.append("protocol websockets")
    if way == "psk":
        layers["psk"] = _KEY_HEX
        (directory / "psk.txt").write_text("".join(f"{name}:{_KEY_HEX}\n" for name in names))
        settings += [f"psk_file {directory / 'psk.txt'}", "psk_hint cloud"]
        settings.append("use_identity_as_username true")
    elif way in ("tls", "wss"):
        authority = make_authority("Sweep CA")
        server = issue(authority, "server", ["localhost", HOST])
        (directory / "anchors").mkdir()
        (directory / "anchors/ca.der").write_bytes(authority.certificate_der)
        layers["anchors"] = str(directory / "anchors")
        (directory / "server.pem").write_bytes(server.certificate_pem)
        (directory / "server.key").write_bytes(server.key_pem)
        settings += [f"certfile {directory}/server.pem", f"keyfile {directory}/server.key"]
        if way == "tls":
            device = issue(authority, "device", ["device"])
            (directory / "ca.pem").write_bytes(authority.certificate_pem)
            settings += [f"cafile {directory}/ca.pem", "require_certificate true"]
            for name, content in (
                ("certificate", device.certificate_der),
                ("private_key", device.key_der),
            ):
                (directory / name).write_bytes(content)
                layers[name] = str(directory / name)
    return layers, settings


@contextlib.asynccontextmanager
async def hub(directory: Path, way: str, devices: int) -> AsyncIterator[Sequence[RecordingCloud]]:
    """One cloud a device, in truth one hub."""
    # The 500 ms between stored messages are the documents'; a sweep has not the time.
    config = HubConfig(
        mqtt_port=0,
        api_port=0,
        tls_port=0,
        ws_port=0,
        wss_port=0,
        stored_interval_ms=1,
    )
    async with Hub(config) as running:
        product_id = running.registry.add_product("sweep").product_id
        clouds = [_HubCloud(running, way, product_id, name) for name in _names(devices)]
        layers = {"path": PATH} if way in ("ws", "wss") else {}
        if way in ("tls", "wss"):
            (directory / "anchors").mkdir()
            anchor = running.authority.certificate_der
            (directory / "anchors/ca.der").write_bytes(anchor)
            layers["anchors"] = str(directory / "anchors")
        for cloud in clouds:
            cloud.layers.update(layers)
        by_topic = {cloud.up: cloud for cloud in clouds}
        watcher = Watcher()
        running.records.watchers.add(watcher)

        async def answer() -> None:
            while passed := await watcher.next():
                _, direction, _, topic, payload, _ = passed
                cloud = by_topic.get(topic) if direction == "in" else None
                if cloud is not None and cloud.hears(payload):
                    publish(running.broker, running.registry, cloud.down, payload, 1)

        answering = asyncio.create_task(answer())
        yield clouds
        watcher.end()
        await answering
        assert not watcher.missed


CLOUDS = {"mosquitto": mosquitto, "hub": hub}
