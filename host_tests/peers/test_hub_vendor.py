"""The vendor's Python device SDK on the hub, and clients set up as both its SDKs do."""

import hashlib
import hmac
import json
import queue
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from host_tests.peers.broker_client import Login, RawClient
from host_tests.peers.broker_everyway import TIMEOUT_S, Device, EveryWayHub
from host_tests.peers.broker_wires import PskWire, TlsWire, Wire, tcp

ROOT = Path(__file__).parents[2]
LOCKS = [Path(__file__).with_name(name) for name in ("vendor_sdk_build.lock", "vendor_sdk.lock")]
INSTALL_TIMEOUT_S = 300


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = EveryWayHub(tmp_path_factory.mktemp("hub"), stored_interval_ms=5)
    yield server
    server.stop()


# The SDK itself, in an environment of its own: it needs a paho-mqtt of 2020.


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """The interpreter that has the SDK; made once for each state of its lock files."""
    state = hashlib.sha256(b"".join(lock.read_bytes() for lock in LOCKS)).hexdigest()[:16]
    folder = ROOT / ".cache" / f"vendor_sdk-{sys.version_info[1]}-{state}"
    python = folder / "bin/python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=60)
        for lock in LOCKS:
            done = subprocess.run(
                [
                    *(python, "-m", "pip", "install", "-q", "--disable-pip-version-check"),
                    *("--no-deps", "--no-build-isolation", "--require-hashes", "-r", lock),
                ],
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
            )
            if done.returncode:
                pytest.skip(f"pip could not install {lock.name}: {done.stderr[-500:]}")
        (folder / "complete").touch()
    return python


def device_info(hub: EveryWayHub, device: Device, folder: Path) -> Path:
    """The file the SDK reads (PROTOCOL.md 15); it wants every field."""
    certificate = getattr(device, "certificate", None)
    authority = folder / "ca.pem"
    authority.write_text(hub.authority_pem())
    path = folder / "device_info.json"
    path.write_text(
        json.dumps(
            {
                "region": "china",
                "auth_mode": "CERT" if certificate else "KEY",
                "productId": device.login.product_id,
                "productSecret": "",
                "deviceName": device.name,
                "key_deviceinfo": {"deviceSecret": getattr(device, "secret", "")},
                "cert_deviceinfo": {
                    "devCaFile": str(authority),
                    "devCertFile": certificate.certificate if certificate else "",
                    "devPrivateKeyFile": certificate.key if certificate else "",
                },
            }
        )
    )
    return path


@pytest.mark.parametrize(
    ("listener", "auth", "key"),
    [
        ("tcp", "key", "ec"),
        ("ws", "key", "ec"),
        ("tls", "cert", "rsa"),
        ("tls", "cert", "ec"),
        ("wss", "cert", "rsa"),
    ],
)
def test_the_vendors_sdk(hub, sdk_python, tmp_path, listener, auth, key):
    device = Device(hub, auth, key)
    names = {"1883": "tcp", "8883": "tls", "80": "ws", "443": "wss"}
    settings = {
        "ports": {port: hub.ports[name] for port, name in names.items()},
        "device_file": str(device_info(hub, device, tmp_path)),
        "tls": listener in ("tls", "wss"),
        "websocket": listener in ("ws", "wss"),
    }
    process = subprocess.Popen(
        [sdk_python, ROOT / "host_tests/peers/vendor_device.py"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        first = process.stdout.readline()
        assert first == "ready\n", process.communicate(timeout=TIMEOUT_S)
        for number in range(3):
            hub.send(device.login.topic("control"), b'{"power": %d}' % number, 1)
        output, errors = process.communicate(timeout=2 * TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    seen = json.loads(output)
    # It speaks MQTT 3.1, which tells no session.
    assert seen["connected"] == [0, 0]
    assert abs(seen["time_ms"] - time.time() * 1000) < 30_000
    control = device.login.topic("control")
    assert seen["commands"] == [[control, {"power": number}] for number in range(3)]
    recorded = hub.call("GET", f"/messages?topic={device.login.topic('event')}")["messages"]
    assert [json.loads(each["payload"]) for each in recorded] == [
        {"reading": number} for number in range(10)
    ]
    (connect,) = hub.events(device.login, "connect")
    assert (connect["transport"], connect["protocol_level"]) == (listener, 3)
    assert connect["proved_by"] == ("certificate" if auth == "cert" else None)
    assert hub.events(device.login, "disconnect")[-1]["reason"] == "DISCONNECT"


# paho-mqtt, as people would use it instead.


class Paho:
    """A client that speaks MQTT 3.1, as the SDK's; its messages wait in a queue."""

    def __init__(self, hub: EveryWayHub, device: Device, listener: str) -> None:
        websocket = listener in ("ws", "wss")
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=device.login.client_id,
            protocol=paho.MQTTv31,
            transport="websockets" if websocket else "tcp",
        )
        self._connected: queue.Queue[Any] = queue.Queue()
        self.messages: queue.Queue[Any] = queue.Queue()
        self._granted: queue.Queue[Any] = queue.Queue()
        self.client.on_connect = lambda *event: self._connected.put(event[3])
        self.client.on_subscribe = lambda *event: self._granted.put(event[3])
        self.client.on_message = lambda _client, _data, message: self.messages.put(message)
        if listener in ("tls", "wss"):
            context = ssl.create_default_context(cadata=hub.authority_pem())
            if hasattr(device, "certificate"):
                context.load_cert_chain(device.certificate.certificate, device.certificate.key)
            self.client.tls_set_context(context)
        self._port = hub.ports[listener]

    def connect(self) -> str:
        self.client.connect("127.0.0.1", self._port, keepalive=60)
        self.client.loop_start()
        return str(self._connected.get(timeout=TIMEOUT_S))

    def subscribe(self, topic: str) -> list[int]:
        self.client.subscribe(topic, 1)
        return [reason.value for reason in self._granted.get(timeout=TIMEOUT_S)]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def python_sdk_login(device: Device) -> tuple[str, str]:
    """User name and password as the vendor's Python SDK makes them: the expiry in milliseconds,
    SHA-1, and for a certificate the HMAC of an empty key."""
    expiry_ms = int(time.time() * 1000)
    user_name = f"{device.login.client_id};21010406;aB3xY;{expiry_ms}"
    key = getattr(device, "key", b"")
    return user_name, hmac.new(key, user_name.encode(), "sha1").hexdigest() + ";hmacsha1"


@pytest.mark.parametrize(
    ("listener", "auth", "websocket_path"),
    [
        ("tcp", "key", None),
        ("tls", "key", None),
        ("tls", "cert", None),
        ("ws", "key", "/mqtt"),
        ("ws", "key", "/"),
        ("wss", "key", "/mqtt"),
        ("wss", "cert", "/mqtt"),
    ],
)
def test_paho_as_the_python_sdk_sets_it_up(hub, listener, auth, websocket_path):
    device = Device(hub, auth)
    client = Paho(hub, device, listener)
    if websocket_path is not None:
        client.client.ws_set_options(path=websocket_path)
    client.client.username_pw_set(*python_sdk_login(device))
    assert client.connect() == "Success"
    assert client.subscribe(device.login.topic("control")) == [1]
    sent = [client.client.publish(device.login.topic("event"), b"%d" % n, 1) for n in range(50)]
    for each in sent:
        each.wait_for_publish(TIMEOUT_S)
        assert each.is_published()
    for number in range(20):
        hub.send(device.login.topic("control"), b"%d" % number, 1)
    received = [client.messages.get(timeout=TIMEOUT_S).payload for _ in range(20)]
    assert [int(payload) for payload in received] == list(range(20))
    client.close()
    recorded = hub.call("GET", f"/messages?topic={device.login.topic('event')}")["messages"]
    assert [int(each["payload"]) for each in recorded] == list(range(50))


# The C SDK: no password where TLS proves the device, and an expiry cut off by a short buffer.


def c_sdk_login(device: Device) -> Login:
    user_name = f"{device.login.client_id};21010406;q7RtZ;92233720368547758"
    return device.login._replace(user_name=user_name)


@pytest.mark.parametrize("way", ["psk", "certificate", "tcp"])
def test_the_c_sdks_login(hub, way):
    device = Device(hub, "cert" if way == "certificate" else "key")
    login = c_sdk_login(device)
    wire: Wire
    if way == "psk":
        wire = PskWire(hub.ports["tls"], login.client_id, device.key)
    elif way == "certificate":
        wire = TlsWire(hub.ports["tls"], hub.authority_pem(), device.certificate)
    else:
        digest = hmac.new(device.key, (login.user_name or "").encode(), "sha1").hexdigest()
        login = login._replace(password=digest + ";hmacsha1")
        wire = tcp(hub.ports["tcp"])
    with RawClient(wire) as client:
        assert client.connect(login, keepalive_s=240) == (0, False)
        assert client.subscribe((login.topic("control"), 1)) == [1]
        client.publish(login.topic("event"), b"from C")
        hub.send(login.topic("control"), b"to C", 1)
        assert client.message().payload == b"to C"
        client.disconnect()
