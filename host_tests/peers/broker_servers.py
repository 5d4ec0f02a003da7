"""The two brokers under test: the hub, and mosquitto as the independent reference."""

import asyncio
import base64
import hashlib
import hmac
import http.client
import itertools
import json
import secrets
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from host_tests.peers.broker_client import Login, RawClient, publish_bytes
from host_tests.peers.broker_wires import (
    ClientCertificate,
    PskWire,
    TlsWire,
    WebSocketWire,
    Wire,
    tcp,
)
from tools import prerequisites
from tools.hub import Hub, HubConfig

START_TIMEOUT_S = 10


def signed_login(product_id: str, device_name: str, secret: str, expiry_s: int = 9999999999):
    """A login as the documents sign it (PROTOCOL.md 1.2)."""
    user_name = f"{product_id}{device_name};12010126;abcde;{expiry_s}"
    digest = hmac.new(base64.b64decode(secret), user_name.encode(), hashlib.sha256).hexdigest()
    return Login(product_id, device_name, user_name, digest + ";hmacsha256")


def unsigned_login(product_id: str, device_name: str) -> Login:
    """As the vendor's C SDK logs in where TLS has proved who it is: no password."""
    user_name = f"{product_id}{device_name};21010406;aB3xY;9223372036854775807"
    return Login(product_id, device_name, user_name, None)


def client_certificate(folder: str) -> ClientCertificate:
    """The files the hub wrote for a device."""
    return ClientCertificate(f"{folder}/certificate.pem", f"{folder}/private_key.pem")


class Server(Protocol):
    """What a scenario needs of a broker."""

    name: str
    port: int

    def new_device(self) -> Login: ...
    def client(self, login: Login) -> RawClient:
        """Connected, as far as the way in goes; whoever logs in is to be `login`."""
        ...

    def send(self, topic: str, payload: bytes, qos: int) -> None: ...
    def restart(self) -> None: ...
    def stop(self) -> None: ...


# How a device gets in: the listener, whether by certificate, and whether the login is signed.
class Way(NamedTuple):
    listener: str
    auth: str = "key"
    signed: bool = True


WAYS = {
    "tcp": Way("tcp"),
    "tls": Way("tls"),
    "certificate": Way("tls", "cert", signed=False),
    "psk": Way("tls", signed=False),
    "ws": Way("ws"),
    "wss": Way("wss"),
}


class HubServer:
    """A hub on a thread of its own; its devices come in by one of WAYS."""

    name = "hub"

    def __init__(self, database: Path, way: str = "tcp", **settings: Any) -> None:
        self.way = WAYS[way]
        ports = {f"{self.way.listener}_port": 0} if self.way.listener != "tcp" else {}
        self._config = HubConfig(
            mqtt_port=0,
            api_port=0,
            database=str(database),
            data=database.parent,
            **ports | settings,
        )
        self._numbers = itertools.count(1)
        self._secrets: dict[str, str] = {}
        self._certificates: dict[str, ClientCertificate] = {}
        self.start()
        name = secrets.token_hex(4)
        created = self.call("POST", "/products", name=name, auth=self.way.auth)
        self.product_id = created["product_id"]

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(START_TIMEOUT_S), "the hub did not start"

    async def _run(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        async with Hub(self._config) as hub:
            self.hub = hub
            self.ports, self.port, self.api_port = hub.address.ports, hub.mqtt_port, hub.api_port
            ready.set()
            await self._stopping.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_TIMEOUT_S)
        assert not self._thread.is_alive(), "the hub did not stop"

    def restart(self) -> None:
        self.stop()
        # The same ports, as a restarted hub has.
        ports: dict[str, Any] = {f"{name}_port": port for name, port in self.ports.items()}
        ports["mqtt_port"] = ports.pop("tcp_port")
        self._config = replace(self._config, api_port=self.api_port, **ports)
        self.start()

    def new_name(self) -> str:
        """A device name that no other device here has."""
        return f"dev{next(self._numbers)}"

    def new_device(self) -> Login:
        path = f"/products/{self.product_id}/devices"
        # Of its two kinds of key, the one that is made at once.
        created = self.call("POST", path, name=self.new_name(), key="ec")
        login = unsigned_login(self.product_id, created["device_name"])
        if self.way.auth == "cert":
            self._certificates[login.client_id] = client_certificate(created["folder"])
            return login
        self._secrets[login.client_id] = created["device_secret"]
        if not self.way.signed:
            return login
        return signed_login(self.product_id, created["device_name"], created["device_secret"])

    def client(self, login: Login) -> RawClient:
        return RawClient(self._wire(login))

    def _wire(self, login: Login) -> Wire:
        listener, auth, signed = self.way
        port = self.ports[listener]
        if listener == "tls" and auth == "key" and not signed:
            key = base64.b64decode(self._secrets[login.client_id])
            return PskWire(port, login.client_id, key)
        wire: Wire
        if listener in ("tls", "wss"):
            wire = TlsWire(port, self.authority_pem(), self._certificates.get(login.client_id))
        else:
            wire = tcp(port)
        return WebSocketWire(wire) if listener in ("ws", "wss") else wire

    def authority_pem(self) -> str:
        return str(self.call("GET", "/ca")["certificate_pem"])

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

    def client(self, login: Login) -> RawClient:
        return RawClient(self.port)

    def send(self, topic: str, payload: bytes, qos: int) -> None:
        sender = Login("APPLICATIO", secrets.token_hex(8), None, None)
        with RawClient(self.port) as application:
            application.connect(sender)
            if qos:
                application.publish(topic, payload)
            else:
                application.send(publish_bytes(topic, payload))
            application.disconnect()
