"""The two brokers under test: the hub, and mosquitto as the independent reference."""

import asyncio
import base64
import hashlib
import hmac
import http.client
import json
import secrets
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from host_tests.peers.broker_client import Login, RawClient, publish_bytes
from tools import prerequisites
from tools.hub import Hub, HubConfig

START_TIMEOUT_S = 10


def signed_login(product_id: str, device_name: str, secret: str, expiry_s: int = 9999999999):
    """A login as the documents sign it (PROTOCOL.md 1.2)."""
    user_name = f"{product_id}{device_name};12010126;abcde;{expiry_s}"
    digest = hmac.new(base64.b64decode(secret), user_name.encode(), hashlib.sha256).hexdigest()
    return Login(product_id, device_name, user_name, digest + ";hmacsha256")


class Server(Protocol):
    """What a scenario needs of a broker."""

    name: str
    port: int

    def new_device(self) -> Login: ...
    def send(self, topic: str, payload: bytes, qos: int) -> None: ...
    def restart(self) -> None: ...


class HubServer:
    """A hub on a thread of its own."""

    name = "hub"

    def __init__(self, database: Path, **settings: Any) -> None:
        self._config = HubConfig(mqtt_port=0, api_port=0, database=str(database), **settings)
        self._devices = 0
        self.start()
        self.product_id = self.call("POST", "/products", name=secrets.token_hex(4))["product_id"]

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(START_TIMEOUT_S), "the hub did not start"

    async def _run(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        async with Hub(self._config) as hub:
            self.hub = hub
            self.port, self.api_port = hub.mqtt_port, hub.api_port
            ready.set()
            await self._stopping.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_TIMEOUT_S)
        assert not self._thread.is_alive(), "the hub did not stop"

    def restart(self) -> None:
        self.stop()
        # The same ports, as a restarted hub has.
        self._config = replace(self._config, mqtt_port=self.port, api_port=self.api_port)
        self.start()

    def new_device(self) -> Login:
        self._devices += 1
        path = f"/products/{self.product_id}/devices"
        created = self.call("POST", path, name=f"dev{self._devices}")
        return signed_login(self.product_id, created["device_name"], created["device_secret"])

    def send(self, topic: str, payload: bytes, qos: int) -> None:
        encoded = base64.b64encode(payload).decode()
        self.call("POST", "/publish", topic=topic, payload_base64=encoded, qos=qos)

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of one API call."""
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=10)
        headers = {"Content-Type": "application/json"} | headers
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer

    def call(self, method: str, path: str, **body: Any) -> Any:
        """The JSON of an API call that must succeed."""
        status, answer = self.request(method, path, body if method == "POST" else None)
        assert status < 300, answer
        return answer

    def events(self, login: Login, kind: str | None = None) -> list[dict[str, Any]]:
        suffix = f"&kind={kind}" if kind else ""
        device = f"{login.product_id}/{login.device_name}"
        return self.call("GET", f"/events?device={device}{suffix}&limit=10000")["events"]

    def arm(self, kind: str, login: Login | None = None, count: int | None = 1, **parameters):
        device = f"{login.product_id}/{login.device_name}" if login else None
        body = {"kind": kind, "device": device, "count": count, "parameters": parameters}
        self.call("POST", "/faults", **body)


class MosquittoServer:
    """A mosquitto process with the documents' limits where it has them."""

    name = "mosquitto"

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._directory = directory
        self._config = directory / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\n"
            "allow_anonymous true\n"
            "max_packet_size 16384\n"
            "max_inflight_messages 150\n"
            "max_queued_messages 150\n"
            "persistence true\n"
            f"persistence_location {directory}/\n"
            "user root\n"
        )
        self.start()

    def start(self) -> None:
        with (self._directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(prerequisites.find("mosquitto")), "-c", self._config], stdout=log, stderr=log
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "mosquitto did not start"
                time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(START_TIMEOUT_S)

    def restart(self) -> None:
        self.stop()
        self.start()

    def new_device(self) -> Login:
        return Login(secrets.token_hex(5).upper(), "dev", None, None)

    def send(self, topic: str, payload: bytes, qos: int) -> None:
        sender = Login("APPLICATIO", secrets.token_hex(8), None, None)
        with RawClient(self.port) as application:
            application.connect(sender)
            if qos:
                application.publish(topic, payload)
            else:
                application.send(publish_bytes(topic, payload))
            application.disconnect()
