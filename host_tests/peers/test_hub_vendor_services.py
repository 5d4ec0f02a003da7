"""The services of the vendor's Python device SDK, unchanged, on the hub; with the C SDK's shapes
where that one has more."""

import base64
import hashlib
import hmac
import json
import queue
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from host_tests.peers.broker_client import RawClient, publish_bytes
from host_tests.peers.broker_everyway import Device, EveryWayHub
from host_tests.peers.broker_servers import signed_login
from host_tests.peers.test_hub_vendor import (
    ROOT,
    device_info,
    sdk_python,  # noqa: F401
)

TIMEOUT_S = 15


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = EveryWayHub(tmp_path_factory.mktemp("hub"))
    yield server
    server.stop()


class Sdk:
    """The SDK in a process of its own, logged in by key over TCP."""

    def __init__(self, python: Path, hub: EveryWayHub, device: Device, folder: Path) -> None:
        path = device_info(hub, device, folder)
        info = json.loads(path.read_text()) | {"subDev": {"subdev_num": 0, "subdev_list": []}}
        path.write_text(json.dumps(info))
        self._process = subprocess.Popen(
            [python, ROOT / "host_tests/peers/vendor_services.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            text=True,
        )
        self._returned: queue.Queue[Any] = queue.Queue()
        self._heard: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._write({"port": hub.ports["tcp"], "device_file": str(path)})
        assert self._returned.get(timeout=TIMEOUT_S) == 0

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "returned" in told:
                self._returned.put(told["returned"])
            else:
                self._heard.put((told["heard"], told["payload"]))

    def _write(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()

    def call(self, name: str, *arguments: Any) -> Any:
        self._write({"call": name, "arguments": arguments})
        return self._returned.get(timeout=TIMEOUT_S)

    def heard(self, topic: str) -> Any:
        """The payload of what the SDK heard next, on this topic."""
        found, payload = self._heard.get(timeout=TIMEOUT_S)
        assert found == topic
        return payload

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def start(hub, sdk_python, tmp_path):  # noqa: F811
    running = []

    def start(device: Device) -> Sdk:
        running.append(Sdk(sdk_python, hub, device, tmp_path))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def api(device: Device) -> str:
    return f"/products/{device.login.product_id}/devices/{device.name}"


def path_of(device: Device) -> str:
    return f"{device.login.product_id}/{device.name}"


def test_the_shadow(hub, start):
    device = Device(hub)
    sdk, topic = start(device), f"$shadow/operation/result/{path_of(device)}"
    token = device.login.product_id
    assert sdk.call("shadow") == [0, 0]
    sdk.call("get_shadow")
    blank = sdk.heard(topic)
    assert (blank["type"], blank["result"], blank["clientToken"]) == ("get", 0, token + "-0")
    assert blank["payload"] == {"state": {}, "timestamp": 0, "version": 0}
    # It truncates what is no integer, and sends no version.
    sdk.call("report", ["level", 3, "int"], ["warmth", 21.7, "float"], ["name", "灯", "string"])
    reported = {"level": 3, "warmth": 21, "name": "灯"}
    answer = sdk.heard(topic)
    assert (answer["type"], answer["result"], answer["clientToken"]) == ("update", 0, token + "-1")
    assert answer["payload"]["state"] == {"reported": reported}
    hub.call("POST", api(device) + "/shadow", desired={"level": 5})
    delta = sdk.heard(topic)
    assert (delta["type"], delta["payload"]["state"]) == ("delta", {"level": 5})
    sdk.call("get_shadow")
    state = {"reported": reported, "desired": {"level": 5}, "delta": {"level": 5}}
    assert sdk.heard(topic)["payload"]["state"] == state
    sdk.call("clear_desired")
    assert sdk.heard(topic)["payload"]["state"] == {"desired": None}
    shadow = hub.call("GET", api(device) + "/shadow")
    assert (shadow["state"], shadow["version"]) == ({"reported": reported}, 3)


def test_calls_and_broadcasts(hub, start):
    device = Device(hub)
    sdk = start(device)
    assert sdk.call("rrpc") == [0, 0]
    for number in range(3):
        answer = hub.call("POST", api(device) + "/call", payload=json.dumps({"n": number}))
        assert json.loads(answer["payload"]) == {"echo": {"n": number}}
        assert sdk.heard(f"$rrpc/rxd/{path_of(device)}") == {"n": number}
    assert sdk.call("broadcast") == [0, 0]
    product = f"/products/{device.login.product_id}"
    assert hub.call("POST", product + "/broadcast", payload='"all"')["sent"] == 1
    assert sdk.heard(f"$broadcast/rxd/{path_of(device)}") == "all"


def gateway_of(hub: EveryWayHub) -> Device:
    device = Device.__new__(Device)
    created = hub.call("POST", "/products", name=hub.new_name(), kind="gateway")
    device.name = hub.new_name()
    product_id = created["product_id"]
    path = f"/products/{product_id}/devices"
    device.secret = hub.call("POST", path, name=device.name)["device_secret"]
    device.login = signed_login(product_id, device.name, device.secret)
    return device


def test_the_gateway(hub, start):
    gateway, meter = gateway_of(hub), Device(hub)
    sdk, who = start(gateway), (meter.login.product_id, meter.name)
    control, event = (f"{path_of(meter)}/{name}" for name in ("control", "event"))
    assert sdk.call("gatewayInit") == [0, 0]
    # It tells success from failure, but not which; and takes an old failure for the next answer.
    other = Device(hub)
    stranger = other.login.product_id, other.name
    assert sdk.call("gatewaySubdevOnline", *stranger)[0] == 1
    assert sdk.call("gatewaySubdevBind", *stranger, meter.secret)[0] == 1
    refused = [each["result"] for each in hub.events(gateway.login, "service")]
    assert refused == [-1, 803]
    assert sdk.call("gatewaySubdevBind", *who, meter.secret)[0] == 0
    assert sdk.call("bind_list") == [0, [list(who)]]
    assert sdk.call("gatewaySubdevOnline", *who)[0] == 0
    assert hub.call("GET", api(meter))["gateway"] == path_of(gateway)
    assert sdk.call("listen", control) == [0, 1]
    hub.send(control, b'{"on": true}', 1)
    assert sdk.heard(control) == {"on": True}
    assert sdk.call("publish", event, {"kWh": 1}, 1)[0] == 0
    deadline = time.monotonic() + TIMEOUT_S
    while not hub.call("GET", f"/messages?topic={event}")["messages"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert sdk.call("gatewaySubdevOffline", *who)[0] == 0
    assert not hub.call("GET", api(meter))["online"]
    assert sdk.call("gatewaySubdevUnbind", *who)[0] == 0
    # It fails within on what it does not know, and goes on.
    sub_devices = api(gateway) + "/sub_devices"
    hub.call("POST", sub_devices + "/bind", devices=[path_of(meter)])
    hub.call("POST", sub_devices + "/search")
    hub.call("POST", sub_devices + "/unbind_all")
    assert sdk.call("gatewaySubdevBind", *who, meter.secret)[0] == 0


def test_the_c_sdks_shapes(hub):
    """What it sends and the Python SDK does not, by its sources."""
    gateway = gateway_of(hub)
    meter = Device(hub, "cert", "rsa")
    path, who = path_of(gateway), {"product_id": meter.login.product_id, "device_name": meter.name}

    def ask(client: RawClient, family: str, **request: Any) -> Any:
        client.send(publish_bytes(f"${family}/operation/{path}", json.dumps(request).encode()))
        return json.loads(client.message().payload)

    with RawClient(hub.ports["tcp"]) as client:
        assert client.connect(gateway.login, keepalive_s=240) == (0, False)
        for family in ("gateway", "shadow", "config", "log"):
            assert client.subscribe((f"${family}/operation/result/{path}", 1)) == [1]
        # The key is the MD5 of the certificate's file; a time beside a random number.
        file = Path(meter.certificate.certificate).read_bytes()
        now_s = int(time.time())
        text = f"{meter.login.client_id};12345;{now_s}".encode()
        digest = hmac.digest(hashlib.md5(file).hexdigest().encode(), text, "sha1")
        entry = {**who, "random": 12345, "timestamp": now_s, "authtype": "certificate"}
        entry |= {"signature": base64.b64encode(digest).decode(), "signmethod": "hmacsha1"}
        answer = ask(client, "gateway", type="bind", payload={"devices": [entry]})
        assert answer["payload"]["devices"] == [{**who, "result": 0}]
        # A change is acknowledged device by device.
        sub_devices = api(gateway) + "/sub_devices"
        hub.call("POST", sub_devices + "/unbind", devices=[path_of(meter)])
        change = json.loads(client.message().payload)
        assert change == {"type": "change", "payload": {"status": 0, "devices": [who]}}
        change["payload"]["devices"][0]["result"] = 0
        client.publish(f"$gateway/operation/{path}", json.dumps(change).encode())
        acknowledged = hub.events(gateway.login, "service")[-1]
        assert acknowledged["action"] == "change acknowledged"
        # Its tokens; replacing, and clearing one desired key.
        state: dict[str, Any] = {"reported": {"a": 1, "b": {"c": 2}}}
        token = gateway.login.product_id + "-0"
        assert ask(client, "shadow", type="update", state=state, clientToken=token)["result"] == 0
        state = {"reported": {"b": {"d": 3}}}
        request = {"type": "update", "state": state, "overwriteUpdate": True, "clientToken": token}
        assert ask(client, "shadow", **request)["result"] == 0
        hub.call("POST", api(gateway) + "/shadow", desired={"x": 1, "y": 2})
        client.message()
        state = {"desired": {"x": None}}
        assert ask(client, "shadow", type="update", state=state, clientToken=token)["result"] == 0
        shadow = hub.call("GET", api(gateway) + "/shadow")["state"]
        assert (shadow["reported"], shadow["desired"]) == ({"b": {"d": 3}}, {"y": 2})
        # Remote configuration, which only this SDK has, and the log level.
        assert ask(client, "config", type="get")["result"] == 1001
        level = ask(client, "log", type="get_log_level", clientToken=token)
        assert (level["log_level"], level["clientToken"]) == (0, token)
