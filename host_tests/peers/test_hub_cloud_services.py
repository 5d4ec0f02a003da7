"""The vendor's cloud client and devices on one hub: shadows, calls, broadcasts, gateways, logs.
Our device answers it with the examples of the firmware."""

import base64
import contextlib
import json
import os
import queue
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from host_tests.e2e.device_program import MICROPYTHON, ROOT
from host_tests.peers.broker_client import Login, RawClient, publish_bytes
from host_tests.peers.broker_servers import HubServer, signed_login
from host_tests.peers.cloud_client import CloudClient, Refused
from tools.hub.cloud import logs

TIMEOUT_S = 20


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = HubServer(tmp_path_factory.mktemp("hub") / "hub.db", cloud_port=0, rrpc_timeout_s=0.5)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cloud(hub):
    return CloudClient(hub)


@pytest.fixture(scope="module")
def old_cloud(hub):
    return CloudClient(hub, "v20180614")


class Made:
    """A device made by the cloud client; `named` is what most actions begin with."""

    def __init__(self, hub: HubServer, cloud: CloudClient, product_id: str = "") -> None:
        product_id = product_id or hub.product_id
        name = hub.new_name()
        self.named = {"ProductId": product_id, "DeviceName": name}
        self.secret = cloud.call("CreateDevice", **self.named)["DevicePsk"]
        self.login: Login = signed_login(product_id, name, self.secret)
        self.path = f"{product_id}/{name}"
        self._hub = hub

    @contextlib.contextmanager
    def online(self, *topics: str, clean: bool = True) -> Iterator[RawClient]:
        with RawClient(self._hub.port) as client:
            assert client.connect(self.login, clean=clean)[0] == 0
            if topics:
                assert 0x80 not in client.subscribe(*((topic, 1) for topic in topics))
            yield client


@pytest.fixture
def device(hub, cloud):
    return Made(hub, cloud)


# Our device, under MicroPython.


class Example:
    """One of firmware/examples/, as it is, with a device.json of this hub."""

    def __init__(self, hub: HubServer, device: Made, name: str, folder: Path) -> None:
        settings = {
            "product_id": device.named["ProductId"],
            "device_name": device.named["DeviceName"],
            "device_secret": device.secret,
            "region": "china",
            "host": "127.0.0.1",
            "port": hub.port,
            "transport": "tcp",
        }
        (folder / "device.json").write_text(json.dumps(settings))
        self._process = subprocess.Popen(
            [MICROPYTHON, ROOT / "firmware/examples" / name],
            cwd=folder,
            env={**os.environ, "MICROPYPATH": f"{ROOT}/firmware/lib:.frozen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())

    def says(self, text: str) -> str:
        """The next line that holds a text."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in (line := self._lines.get(timeout=deadline - time.monotonic())):
            pass
        return line

    def __enter__(self) -> "Example":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()


def when(cloud: CloudClient, device: Made, **wanted: Any) -> dict[str, Any]:
    """What DescribeDevice says once it says this."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        shown = cloud.call("DescribeDevice", **device.named)
        if all(shown[key] == value for key, value in wanted.items()):
            return shown
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)


def once_subscribed(cloud: CloudClient, action: str, **parameters: Any) -> dict[str, Any]:
    """The answer to an action that a device takes part in, as soon as it has subscribed."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return cloud.call(action, **parameters)
        except Refused as refused:
            early = ("FailedOperation.DeviceOffline", "FailedOperation.DeviceNoSubscription")
            assert refused.code in early and time.monotonic() < deadline, refused
            time.sleep(0.05)


def test_our_device_answers_a_call(hub, cloud, device, tmp_path):
    with Example(hub, device, "rrpc.py", tmp_path) as example:
        blink = device.named | {"Payload": '{"method": "blink"}'}
        answer = once_subscribed(cloud, "PublishRRPCMessage", **blink)
        assert json.loads(base64.b64decode(answer["PayloadBase64"])) == {"result": "done blink"}
        assert answer["MessageId"] > 0
        assert example.says("called") == "called: blink"
        # Over the deadline, which is 10 s but for this test.
        late = device.named | {"Payload": '{"method": "slow", "takes_ms": 3000}'}
        assert cloud.refusal("PublishRRPCMessage", **late) == "FailedOperation.RRPCTimeout"
        calls = [
            json.loads(
                base64.b64decode(
                    cloud.call(
                        "PublishRRPCMessage",
                        **device.named,
                        Payload=json.dumps({"method": str(number)}),
                    )["PayloadBase64"]
                )
            )
            for number in range(3)
        ]
        assert calls == [{"result": f"done {number}"} for number in range(3)]


def test_our_device_follows_its_shadow(hub, cloud, device, tmp_path):
    with Example(hub, device, "shadow.py", tmp_path) as example:
        example.says("reported")
        state = json.dumps({"desired": {"brightness": 70}})
        cloud.call("UpdateDeviceShadow", **device.named, State=state)
        assert example.says("brightness") == "brightness 70"
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            shown = json.loads(cloud.call("DescribeDeviceShadow", **device.named)["Data"])
            if shown["state"] == {"reported": {"brightness": 70}}:
                break
            assert time.monotonic() < deadline, shown
            time.sleep(0.05)
        assert shown["metadata"]["reported"]["brightness"]["timestamp"]
        when(cloud, device, Online=1)


def test_our_device_gets_a_message(hub, cloud, device, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import asyncio\n"
        "from iothub import Device\n"
        "device = Device.from_file('device.json')\n"
        "@device.on_command\n"
        "async def command(topic, payload):\n"
        "    print('got', bytes(payload).decode())\n"
        "    await device.publish('event', b'echo ' + bytes(payload), qos=1)\n"
        "asyncio.run(device.run())\n"
    )
    with Example(hub, device, str(program), tmp_path) as example:
        when(cloud, device, Online=1)
        message = device.named | {"Topic": f"{device.path}/control", "Payload": "灯", "Qos": 1}
        once_subscribed(cloud, "PublishMessage", **message)
        assert example.says("got") == "got 灯"
        search = {"MinTime": 0, "MaxTime": 1 << 50, "Keywords": f"ProductID:{hub.product_id} echo"}
        deadline = time.monotonic() + TIMEOUT_S
        while not (found := cloud.call("ListLogPayload", **search, MaxNum=10)["Results"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert found[0]["Payload"] == "echo 灯" and found[0]["Topic"] == f"{device.path}/event"


# Shadows.


def test_a_shadow_from_an_application(hub, cloud, old_cloud, device):
    named, topic = device.named, f"$shadow/operation/result/{device.path}"
    assert json.loads(cloud.call("DescribeDeviceShadow", **named)["Data"])["version"] == 0
    with device.online(topic) as client:
        answer = old_cloud.call(
            "UpdateDeviceShadow", **named, State='{"desired": {"a": 1, "b": [1, 2]}}'
        )
        shown = json.loads(answer["Data"])
        assert shown["state"]["desired"] == {"a": 1, "b": [1, 2]} and shown["version"] == 1
        delta = json.loads(client.message().payload)
        assert (delta["type"], delta["payload"]["state"]) == ("delta", {"a": 1, "b": [1, 2]})
        cloud.call(
            "UpdateDeviceShadow", **named, State='{"desired": {"a": null}}', ShadowVersion=1
        )
        assert (
            cloud.refusal(
                "UpdateDeviceShadow", **named, State='{"desired": {"a": 2}}', ShadowVersion=1
            )
            == "FailedOperation.UpdateVersionNotMatch"
        )
        shown = json.loads(cloud.call("DescribeDeviceShadow", **named)["Data"])
        assert shown["state"]["desired"] == {"b": [1, 2]} and shown["version"] == 2
    cloud.call("DeleteDeviceShadow", **named)
    assert cloud.refusal("DescribeDeviceShadow", **named) == (
        "ResourceNotFound.DeviceShadowNotExist"
    )


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("{", "InvalidParameterValue.InvalidJSON"),
        ("[]", "InvalidParameterValue.JSONHasInvalidNode"),
        ('{"reported": {"a": 1}}', "InvalidParameterValue.JSONHasInvalidNode"),
        ('{"desired": 1}', "InvalidParameterValue.InvalidJSON"),
        ('{"desired": {"a": [null]}}', "InvalidParameterValue.InvalidJSON"),
        ('{"desired": {"a": "%s"}}' % ("x" * 9000), "InvalidParameterValue.JSONSizeExceedLimit"),
    ],
    ids=["no JSON", "list", "reported", "number", "null in list", "large"],
)
def test_a_state_that_cannot_be_desired(cloud, device, state, code):
    assert cloud.refusal("UpdateDeviceShadow", **device.named, State=state) == code
    assert json.loads(cloud.call("DescribeDeviceShadow", **device.named)["Data"])["version"] == 0


# Calls, broadcasts, log levels.


def test_calls_that_reach_nobody(cloud, device):
    call = device.named | {"Payload": "x"}
    assert cloud.refusal("PublishRRPCMessage", **call) == "FailedOperation.DeviceOffline"
    with device.online():
        assert cloud.refusal("PublishRRPCMessage", **call) == (
            "FailedOperation.DeviceNoSubscription"
        )
    with device.online(f"$rrpc/rxd/{device.path}/+") as client:
        begun_s = time.monotonic()
        assert cloud.refusal("PublishRRPCMessage", **call) == "FailedOperation.RRPCTimeout"
        assert time.monotonic() - begun_s < 5
        # An answer that comes too late is nobody's, and the next call is answered by its own.
        late = client.message()
        client.send(publish_bytes(late.topic.replace("rxd", "txd"), b"late"))
        large = call | {"Payload": "x" * 17_000}
        assert cloud.refusal("PublishRRPCMessage", **large) == (
            "InvalidParameterValue.PayloadOverLimit"
        )


def test_a_broadcast_reaches_every_device_online(hub, cloud):
    created = cloud.call(
        "CreateProduct", ProductName="broadcast", ProductProperties={"EncryptionType": "2"}
    )
    product_id = created["ProductId"]
    devices = [Made(hub, cloud, product_id) for _ in range(3)]
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(each.online(f"$broadcast/rxd/{each.path}")) for each in devices[:2]
        ]
        encoded = base64.b64encode(b"\x00all").decode()
        answer = cloud.call(
            "PublishBroadcastMessage",
            ProductId=product_id,
            Payload=encoded,
            PayloadEncoding="base64",
            Qos=1,
        )
        assert answer["TaskId"] > 0
        assert [client.message().payload for client in clients] == [b"\x00all"] * 2


def test_a_log_level_is_told(cloud, device):
    with device.online(f"$log/operation/result/{device.path}") as client:
        cloud.call("UpdateDeviceLogLevel", **device.named, LogLevel=3)
        told = json.loads(client.message().payload)
        assert (told["type"], told["log_level"]) == ("get_log_level", 3)
    assert cloud.call("DescribeDevice", **device.named)["LogLevel"] == 3
    assert cloud.refusal("UpdateDeviceLogLevel", **device.named, LogLevel=5) == (
        "InvalidParameterValue"
    )


def test_a_firmware_version_is_told(cloud, device):
    with device.online(f"$ota/update/{device.path}") as client:
        report = {"type": "report_version", "report": {"version": "1.7"}}
        client.send(publish_bytes(f"$ota/report/{device.path}", json.dumps(report).encode()))
        client.message()
    assert cloud.call("DescribeDevice", **device.named)["Version"] == "1.7"
    of_product = {"ProductId": device.named["ProductId"], "Offset": 0, "Limit": 100}
    for version, found in (("1.7", True), ("1.8", False), ("None-FirmwareVersion", False)):
        listed = cloud.call("DescribeDevices", **of_product, FirmwareVersion=version)["Devices"]
        names = [each["DeviceName"] for each in listed]
        assert (device.named["DeviceName"] in names) is found


# Gateways.


def test_sub_devices_of_a_gateway(hub, cloud, old_cloud, device):
    properties = {"EncryptionType": "2", "ProductType": 5}
    created = cloud.call(
        "CreateProduct", ProductName=f"gw-{secrets.token_hex(4)}", ProductProperties=properties
    )
    gateway = Made(hub, cloud, created["ProductId"])
    other = Made(hub, cloud)
    names = [device.named["DeviceName"], other.named["DeviceName"]]
    of_gateway = {
        "GatewayProductId": gateway.named["ProductId"],
        "GatewayDeviceName": gateway.named["DeviceName"],
    }
    binding = {**of_gateway, "ProductId": hub.product_id, "DeviceNames": names}
    with gateway.online(f"$gateway/operation/result/{gateway.path}") as client:
        cloud.call("BindDevices", **binding)
        change = json.loads(client.message().payload)
        assert (change["type"], change["payload"]["status"]) == ("change", 1)
        assert [each["device_name"] for each in change["payload"]["devices"]] == names
        shown = cloud.call("DescribeGatewayBindDevices", **of_gateway, Offset=0, Limit=1)
        assert shown["TotalCount"] == 2 and len(shown["Devices"]) == 1
        assert abs(shown["Devices"][0]["BindTime"] - time.time()) < 60
        assert cloud.refusal("BindDevices", **binding) == (
            "UnauthorizedOperation.DeviceHasAlreadyBindGateway"
        )
        assert cloud.refusal("DeleteDevice", **device.named) == (
            "UnauthorizedOperation.DeviceHasAlreadyBindGateway"
        )
        assert cloud.refusal("DeleteDevice", **gateway.named) == (
            "UnauthorizedOperation.GatewayHasBindedDevices"
        )
        # A sub-device is online by its gateway, and gets its messages through it.
        named = {
            "product_id": device.named["ProductId"],
            "device_name": device.named["DeviceName"],
        }
        come = {"type": "online", "payload": {"devices": [named]}}
        client.send(publish_bytes(f"$gateway/operation/{gateway.path}", json.dumps(come).encode()))
        assert json.loads(client.message().payload)["payload"]["devices"][0]["result"] == 0
        assert cloud.call("DescribeDevice", **device.named)["Online"] == 1
        assert client.subscribe((f"{device.path}/control", 1), packet_id=9) == [1]
        message = device.named | {"Topic": f"{device.path}/control", "Payload": "x", "Qos": 1}
        cloud.call("PublishMessage", **message)
        assert client.message().topic == f"{device.path}/control"
        old_cloud.call("UnbindDevices", **binding)
        assert json.loads(client.message().payload)["payload"]["status"] == 0
    assert cloud.refusal("UnbindDevices", **binding) == "FailedOperation.ProductNotBind"
    wrong = binding | {
        "GatewayProductId": hub.product_id,
        "GatewayDeviceName": other.named["DeviceName"],
    }
    assert cloud.refusal("BindDevices", **wrong) == "InvalidParameterValue.DeviceIsNotGateway"


# Logs.


def everything(**more: Any) -> dict[str, Any]:
    return {"MinTime": 0, "MaxTime": 1 << 50, "MaxNum": 100} | more


@pytest.mark.parametrize("version", ["v20180614", "v20210408"])
def test_what_happened_to_a_device_is_found(hub, device, version):
    cloud = CloudClient(hub, version)
    with device.online() as client:
        client.publish(device.login.topic("event"), b"{}")
        client.disconnect()
    keywords = "productid:{ProductId} devicename:{DeviceName}".format(**device.named)
    found = cloud.call("ListLog", **everything(Keywords=keywords))
    assert found["Listover"] is True and found["Context"] == ""
    scenes = [each["Scene"] for each in found["Results"]]
    assert scenes[0] == "DISCONNECT" and {"CONNECT", "PUBLISH_IN", "REGISTRY"} <= set(scenes)
    name = "DeviceName" if version == "v20210408" else "Devicename"
    assert {each[name] for each in found["Results"]} == {device.named["DeviceName"]}
    connects = cloud.call("ListLog", **everything(Keywords=f"{keywords} scene:CONNECT tcp"))
    (connect,) = connects["Results"]
    assert '"transport":"tcp"' in connect["Content"]
    assert not cloud.call("ListLog", **everything(Keywords=f"{keywords} tcp wombat"))["Results"]
    at_once = everything(Keywords=keywords, MinTime=1, MaxTime=2)
    assert cloud.call("ListLog", **at_once)["Results"] == []


def test_a_search_goes_on_where_it_ended(cloud, device, monkeypatch):
    monkeypatch.setattr(logs, "_SCAN_ROWS", 7)
    with device.online() as client:
        for number in range(25):
            client.publish(device.login.topic("event"), b"%d" % number)
        client.disconnect()
    for action, keywords in (
        ("ListLog", f"productid:{device.named['ProductId']} devicename:"),
        ("ListLogPayload", f"ProductID:{device.named['ProductId']} DeviceName:"),
    ):
        words = keywords + device.named["DeviceName"]
        words += " scene:PUBLISH_IN" if action == "ListLog" else ""
        seen, context = [], ""
        for _ in range(4):
            page = cloud.call(action, **everything(Keywords=words, MaxNum=10, Context=context))
            seen += [each["RequestId"] for each in page["Results"]]
            context = page["Context"]
            if page["Listover"]:
                break
        assert page["Listover"] and len(seen) == len(set(seen)) == 25
    assert cloud.refusal("ListLog", **everything(Context="x")) == "InvalidParameterValue"


def test_what_a_device_logged_itself_is_found(hub, cloud, old_cloud, device):
    records = hub.hub.records
    for level, text in (("ERR", "no sensor"), ("INF", "started"), ("ERR", "no heap")):
        hub._loop.call_soon_threadsafe(
            lambda level=level, text=text: records.event(
                "device_log", device.path, level=level, text=text
            )
        )
    words = "productid:{ProductId} devicename:{DeviceName} ".format(**device.named)
    found = cloud.call("ListSDKLog", **everything(Keywords=words))["Results"]
    assert [each["Content"] for each in found] == ["no heap", "started", "no sensor"]
    errors = old_cloud.call("ListSDKLog", **everything(Keywords=words + "loglevel:ERROR sensor"))
    assert [(each["Level"], each["Content"]) for each in errors["Results"]] == [
        ("ERR", "no sensor")
    ]
    assert errors["Results"][0]["ProductID"] == device.named["ProductId"]
