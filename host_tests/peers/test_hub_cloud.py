"""The vendor's cloud client against the hub: signatures, products, devices, messages."""

import base64
import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tencentcloud.common import credential
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.iotcloud.v20210408 import iotcloud_client, models

from host_tests.peers.broker_client import RawClient
from host_tests.peers.broker_servers import HubServer, signed_login
from host_tests.peers.cloud_client import CloudClient, Refused
from host_tests.unit.house.markdown import Paper
from tools.hub.cloud import server as cloud_server
from tools.hub.cloud.actions import V2018, V2021

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 20
KEY_PRODUCT = {"EncryptionType": "2", "ProductDescription": "of the test"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = HubServer(tmp_path_factory.mktemp("hub") / "hub.db", cloud_port=0)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cloud(hub):
    return CloudClient(hub)


@pytest.fixture(scope="module")
def old_cloud(hub):
    return CloudClient(hub, "v20180614")


@pytest.fixture
def product_id(request, cloud):
    name = re.sub("[^A-Za-z0-9]", "-", request.node.name)[-32:]
    created = cloud.call("CreateProduct", ProductName=name, ProductProperties=KEY_PRODUCT)
    return created["ProductId"]


class Online:
    """A device of a key product, connected and subscribed to `control` and `data`."""

    def __init__(self, hub, cloud, product_id: str, name: str = "dev01", clean: bool = True):
        created = cloud.call("CreateDevice", ProductId=product_id, DeviceName=name)
        self.login = signed_login(product_id, name, created["DevicePsk"])
        self.client = RawClient(hub.port)
        assert self.client.connect(self.login, clean=clean) == (0, False)
        assert self.client.subscribe((self.login.topic("control"), 1)) == [1]


SIGNATURES = [
    ("TC3-HMAC-SHA256", "POST", False),
    ("TC3-HMAC-SHA256", "POST", True),
    ("TC3-HMAC-SHA256", "GET", False),
    ("HmacSHA1", "GET", False),
    ("HmacSHA1", "POST", False),
    ("HmacSHA256", "GET", False),
    ("HmacSHA256", "POST", False),
]


@pytest.mark.parametrize("version", ["v20180614", "v20210408"])
@pytest.mark.parametrize(
    ("sign_method", "http_method", "unsigned"),
    SIGNATURES,
    ids=[f"{a}-{b}{'-unsigned' * c}" for a, b, c in SIGNATURES],
)
def test_every_signature_the_client_makes(hub, version, sign_method, http_method, unsigned):
    cloud = CloudClient(hub, version, sign_method, http_method, unsigned)
    name = f"{sign_method[:8]}{http_method}{version}{int(unsigned)}"
    # Nested values and lists travel flat in a query: `ProductProperties.EncryptionType=2`.
    created = cloud.call("CreateProduct", ProductName=name, ProductProperties=KEY_PRODUCT)
    product_id = created["ProductId"]
    for device in ("a", "b"):
        cloud.call("CreateDevice", ProductId=product_id, DeviceName=device)
    cloud.call(
        "UpdateDevicesEnableState",
        **{"ProductId" if version == "v20210408" else "ProductID": product_id},
        DeviceNames=["a", "b"],
        Status=0,
    )
    listed = cloud.call("DescribeDevices", ProductId=product_id, Offset=0, Limit=10)
    assert [each["EnableState"] for each in listed["Devices"]] == [0, 0]
    wrong = CloudClient(hub, version, sign_method, http_method, unsigned, secret_key="wrong")
    assert wrong.refusal("DescribeProducts", Offset=0, Limit=10) == (
        "AuthFailure.SignatureFailure"
    )
    stranger = CloudClient(hub, version, sign_method, http_method, unsigned, secret_id="AKIDno")
    assert stranger.refusal("DescribeProducts", Offset=0, Limit=10) == (
        "AuthFailure.SecretIdNotFound"
    )


@pytest.mark.parametrize("sign_method", ["TC3-HMAC-SHA256", "HmacSHA256"])
@pytest.mark.parametrize(("skew_s", "refused"), [(-310, True), (310, True), (-290, False)])
def test_a_timestamp_five_minutes_off_is_refused(hub, sign_method, skew_s, refused):
    cloud = CloudClient(hub, sign_method=sign_method)
    hub.call("POST", "/clock", offset_s=-skew_s)
    try:
        if refused:
            code = cloud.refusal("DescribeProducts", Offset=0, Limit=10)
            assert code == "AuthFailure.SignatureExpire"
        else:
            cloud.call("DescribeProducts", Offset=0, Limit=10)
    finally:
        hub.call("POST", "/clock", offset_s=0)


def test_an_action_the_hub_lacks_is_refused_by_name(cloud, old_cloud):
    with pytest.raises(Refused, match="lists what it has") as refused:
        cloud.call(
            "UploadFirmware", ProductId="A" * 10, FirmwareVersion="1", Md5sum="", FileSize=1
        )
    assert refused.value.code == "InvalidAction"
    assert len(refused.value.request_id) == 36
    # An action of the other version only.
    assert cloud._client._apiVersion != old_cloud._client._apiVersion
    cloud._client._apiVersion = "2020-01-01"
    try:
        assert cloud.refusal("DescribeProducts", Offset=0, Limit=10) == "NoSuchVersion"
    finally:
        cloud._client._apiVersion = old_cloud._client._apiVersion
    try:
        assert cloud.refusal("UpdateDevicePSK", ProductId="", DeviceName="", Psk="") == (
            "InvalidAction"
        )
    finally:
        cloud._client._apiVersion = "2021-04-08"


def post(hub: HubServer, body: bytes, path: str = "/", **headers: str) -> tuple[int, Any]:
    """Status and `Response` of a request made by hand."""
    context = ssl.create_default_context(cadata=hub.authority_pem())
    port = hub.ports["cloud"]
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    answer = response.status, json.loads(response.read())["Response"]
    connection.close()
    return answer


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"", {}, "MissingParameter"),
        (b"{}", {"Authorization": "Basic eA=="}, "AuthFailure.InvalidAuthorization"),
        (
            b"{}",
            {
                "Authorization": "TC3-HMAC-SHA256 Credential=a/2026-01-01/iotcloud/tc3_request, "
                f"SignedHeaders=content-type, Signature={'0' * 64}"
            },
            "AuthFailure.InvalidAuthorization",
        ),
        (
            b"{}",
            {
                "Authorization": "TC3-HMAC-SHA256 Credential=a/2026-01-01/iotcloud/tc3_request, "
                f"SignedHeaders=content-type;host, Signature={'0' * 64}"
            },
            "MissingParameter",
        ),
        (b"SignatureMethod=MD5", {}, "InvalidParameterValue"),
        (b"&".join(b"a%d=1" % n for n in range(3000)), {}, "InvalidParameter"),
        (b"x" * (cloud_server.MAX_BODY_BYTES + 1), {}, "RequestSizeLimitExceeded"),
    ],
    ids=["empty", "basic", "host unsigned", "no action", "md5", "many", "large"],
)
def test_what_no_client_sends_is_refused_in_the_same_shape(hub, body, headers, code):
    status, answer = post(hub, body, **headers)
    assert status == 200
    assert set(answer) == {"Error", "RequestId"}
    assert answer["Error"]["Code"] == code and answer["Error"]["Message"]


@pytest.mark.parametrize("action", [b"\xff\xfe", "灯".encode(), b"x" * 7000])
def test_bytes_that_are_no_text_harm_nobody(hub, cloud, action):
    """What is refused is recorded, and the record holds text only."""
    pem = hub.authority_pem()
    with (
        socket.create_connection(("127.0.0.1", hub.ports["cloud"]), 10) as plain,
        ssl.create_default_context(cadata=pem).wrap_socket(
            plain, server_hostname="localhost"
        ) as wire,
    ):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n"
        wire.sendall(head + b"Authorization: x\r\nX-TC-Action: " + action + b"\r\n\r\n{}")
        answer = b""
        while part := wire.recv(4096):
            answer += part
    assert b"AuthFailure.InvalidAuthorization" in answer
    cloud.call("DescribeProducts", Offset=0, Limit=10)
    assert cloud.refusal("CreateProduct", ProductName="\ud800") == "InvalidParameterValue"
    half = {"ProductName": "half-a-pair", "ProductProperties": {"ProductDescription": "\ud800"}}
    assert cloud.refusal("CreateProduct", **half) == "InvalidParameterValue"
    cloud.call("DescribeProducts", Offset=0, Limit=10)


def test_another_path_is_no_api(hub):
    assert post(hub, b"{}", "/v2")[1]["Error"]["Code"] == "InvalidRequest"


def test_keys_are_kept_and_never_shown(hub, cloud):
    keys = hub.hub.cloud.keys
    path = Path(f"{hub.hub.config.data}/cloud_api.json")
    kept = json.loads(path.read_text())
    assert (kept["secret_id"], kept["secret_key"]) == (keys.secret_id, keys.secret_key)
    assert path.stat().st_mode & 0o777 == 0o600
    cloud.call("DescribeProducts", Offset=0, Limit=10)
    events = hub.call("GET", "/events?kind=cloud_api&limit=10000")["events"]
    assert events and keys.secret_key not in json.dumps(events) + repr(keys)
    hub.restart()
    assert hub.hub.cloud.keys.secret_key == keys.secret_key
    CloudClient(hub).call("DescribeProducts", Offset=0, Limit=10)


# Products.


def test_a_product_from_its_creation_to_its_end(cloud):
    properties = KEY_PRODUCT | {"ProductType": 5, "Format": "custom"}
    created = cloud.call("CreateProduct", ProductName="whole-life", ProductProperties=properties)
    product_id = created["ProductId"]
    shown = cloud.call("DescribeProduct", ProductId=product_id)
    assert shown["ProductName"] == "whole-life"
    assert abs(shown["ProductMetadata"]["CreationDate"] - time.time()) < 60
    kept = {name: shown["ProductProperties"][name] for name in properties}
    assert kept == properties
    cloud.call("CreateDevice", ProductId=product_id, DeviceName="dev01")
    assert cloud.refusal("DeleteProduct", ProductId=product_id) == (
        "UnauthorizedOperation.DevicesExistUnderProduct"
    )
    cloud.call("DeleteDevice", ProductId=product_id, DeviceName="dev01")
    cloud.call("DeleteProduct", ProductId=product_id)
    assert cloud.refusal("DescribeProduct", ProductId=product_id) == (
        "ResourceNotFound.ProductNotExist"
    )


def test_products_are_listed_in_pages(cloud, product_id):
    first = cloud.call("DescribeProducts", Offset=0, Limit=1)
    assert first["TotalCount"] >= 2 and len(first["Products"]) == 1
    everything = cloud.call("DescribeProducts", Offset=0, Limit=250)["Products"]
    assert product_id in [each["ProductId"] for each in everything]
    assert cloud.call("DescribeProducts", Offset=len(everything), Limit=10)["Products"] == []


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "MissingParameter"),
        ({"ProductName": "no spaces"}, "InvalidParameterValue"),
        ({"ProductName": "x" * 33}, "InvalidParameterValue"),
        (
            {"ProductName": "lora", "ProductProperties": {"ProductType": 4}},
            "InvalidParameterValue.ProductTypeNotSupport",
        ),
        (
            {"ProductName": "three", "ProductProperties": {"EncryptionType": "3"}},
            "InvalidParameterValue",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_product_that_cannot_be(cloud, parameters, code):
    assert cloud.refusal("CreateProduct", **parameters) == code


def test_a_name_is_taken_once(cloud):
    parameters = {"ProductName": "taken-once", "ProductProperties": KEY_PRODUCT}
    product_id = cloud.call("CreateProduct", **parameters)["ProductId"]
    assert cloud.refusal("CreateProduct", **parameters) == (
        "InvalidParameterValue.ProductAlreadyExist"
    )
    device = {"ProductId": product_id, "DeviceName": "dev01"}
    cloud.call("CreateDevice", **device)
    assert cloud.refusal("CreateDevice", **device) == "InvalidParameterValue.DeviceAlreadyExist"


def test_dynamic_registration_is_switched(hub, cloud, product_id):
    answer = cloud.call(
        "UpdateProductDynamicRegister", ProductId=product_id, RegisterType=2, RegisterLimit=7
    )
    assert (answer["RegisterType"], answer["RegisterLimit"]) == (2, 7)
    assert answer["ProductSecret"] == hub.hub.registry.products[product_id].secret
    properties = cloud.call("DescribeProduct", ProductId=product_id)["ProductProperties"]
    assert (properties["RegisterType"], properties["RegisterLimit"]) == (2, 7)
    assert hub.hub.registry.products[product_id].registration == "auto"


def test_topics_are_made_and_changed(hub, cloud, product_id):
    topic = {"ProductId": product_id, "TopicName": product_id + "/${deviceName}/room"}
    cloud.call("CreateTopicPolicy", **topic, Privilege=2)
    assert cloud.refusal("CreateTopicPolicy", **topic, Privilege=2) == (
        "InvalidParameterValue.TopicPolicyAlreadyExist"
    )
    cloud.call("UpdateTopicPolicy", **topic, NewTopicName="hall", Privilege=3)
    topics = {
        each["topic"]: each["permission"]
        for each in hub.call("GET", f"/products/{product_id}/topics")["topics"]
    }
    assert topics["hall"] == "both" and "room" not in topics
    assert cloud.refusal("UpdateTopicPolicy", **topic, NewTopicName="x", Privilege=1) == (
        "ResourceNotFound.TopicPolicyNotExist"
    )


# Devices.


def test_a_device_by_key_logs_in_with_what_it_was_given(hub, cloud, product_id):
    device = {"ProductId": product_id, "DeviceName": "dev01"}
    tags = [{"Tag": "room", "Type": 2, "Value": "hall", "Name": ""}]
    created = cloud.call("CreateDevice", **device, Attribute={"Tags": tags})
    assert cloud.call("DescribeDevice", **device)["Online"] == 3, "never online yet"
    login = signed_login(product_id, "dev01", created["DevicePsk"])
    with RawClient(hub.port) as client:
        assert client.connect(login)[0] == 0
        shown = cloud.call("DescribeDevice", **device)
        assert shown["Online"] == 1 and abs(shown["LoginTime"] - time.time()) < 60
        assert shown["Tags"] == tags and shown["DevicePsk"] == created["DevicePsk"]
        cloud.call("UpdateDeviceAvailableState", **device, EnableState=0)
        assert client.wait_closed()
    shown = cloud.call("DescribeDevice", **device)
    assert (shown["Online"], shown["EnableState"]) == (0, 0)
    assert abs(shown["LastOfflineTime"] - time.time()) < 60
    with RawClient(hub.port) as client:
        assert client.connect(login)[0] == 5
    cloud.call("UpdateDeviceAvailableState", **device, EnableState=1)
    secret = base64.b64encode(bytes(16)).decode()
    cloud.call("UpdateDevicePSK", **device, Psk=secret)
    with RawClient(hub.port) as client:
        assert client.connect(login)[0] == 4
    with RawClient(hub.port) as client:
        assert client.connect(signed_login(product_id, "dev01", secret))[0] == 0


def test_a_device_by_certificate(cloud):
    created = cloud.call("CreateProduct", ProductName="by-certificate")
    device = {"ProductId": created["ProductId"], "DeviceName": "dev01"}
    made = cloud.call("CreateDevice", **device)
    assert "BEGIN CERTIFICATE" in made["DeviceCert"]
    assert "PRIVATE KEY" in made["DevicePrivateKey"]
    shown = cloud.call("DescribeDevice", **device)
    assert shown["DeviceCert"].split() == made["DeviceCert"].split()
    assert cloud.refusal("DescribeDeviceClientKey", **device) == (
        "UnsupportedOperation.ClientCertAlreadyGot"
    )
    assert cloud.refusal("UpdateDevicePSK", **device, Psk="AAAA") == (
        "UnauthorizedOperation.ProductNotSupportPSK"
    )


def test_a_secret_of_ones_own(hub, cloud, product_id):
    device = {"ProductId": product_id, "DeviceName": "own"}
    assert cloud.refusal("CreateDevice", **device, DefinedPsk="no base64!") == (
        "InvalidParameterValue.DefinedPskNotBase64"
    )
    secret = base64.b64encode(b"0123456789abcdef").decode()
    assert cloud.call("CreateDevice", **device, DefinedPsk=secret)["DevicePsk"] == secret
    with RawClient(hub.port) as client:
        assert client.connect(signed_login(product_id, "own", secret))[0] == 0


def test_devices_are_listed_and_filtered(cloud, old_cloud, product_id):
    names = [f"lamp{number}" for number in range(12)]
    task_id = old_cloud.call("CreateMultiDevice", ProductId=product_id, DeviceNames=names)[
        "TaskId"
    ]
    task = {"ProductId": product_id, "TaskId": task_id}
    assert old_cloud.call("DescribeMultiDevTask", **task)["TaskStatus"] == 2
    made = old_cloud.call("DescribeMultiDevices", **task, Offset=10, Limit=10)
    assert made["TotalDevNum"] == 12 and len(made["DevicesInfo"]) == 2
    assert all(each["DevicePsk"] for each in made["DevicesInfo"])
    cloud.call("UpdateDevicesEnableState", ProductId=product_id, DeviceNames=names[:5], Status=0)
    listed = cloud.call("DescribeDevices", ProductId=product_id, Offset=2, Limit=10, EnableState=0)
    assert listed["TotalCount"] == 5
    assert [each["DeviceName"] for each in listed["Devices"]] == names[2:5]
    named = cloud.call(
        "DescribeDevices", ProductId=product_id, Offset=0, Limit=10, DeviceName="lamp1"
    )
    assert [each["DeviceName"] for each in named["Devices"]] == ["lamp1", "lamp10", "lamp11"]
    everywhere = old_cloud.call("DescribeAllDevices", Offset=0, Limit=250)
    assert {"lamp0", "lamp11"} <= {each["DeviceName"] for each in everywhere["Devices"]}


def test_of_a_list_with_a_stranger_nothing_is_changed(cloud, product_id):
    cloud.call("CreateDevice", ProductId=product_id, DeviceName="dev01")
    code = cloud.refusal(
        "UpdateDevicesEnableState",
        ProductId=product_id,
        DeviceNames=["dev01", "stranger"],
        Status=0,
    )
    assert code == "ResourceNotFound.DeviceNotExist"
    shown = cloud.call("DescribeDevice", ProductId=product_id, DeviceName="dev01")
    assert shown["EnableState"] == 1


def test_a_reset_ends_the_session(hub, cloud, product_id):
    online = Online(hub, cloud, product_id, clean=False)
    answer = cloud.call("ResetDeviceState", ProductId=product_id, DeviceNames=["dev01"])
    assert answer["SuccessCount"] == 1
    assert online.client.wait_closed()
    with RawClient(hub.port) as client:
        assert client.connect(online.login, clean=False) == (0, False)


# Messages.


def test_a_message_reaches_its_device(hub, cloud, product_id):
    online = Online(hub, cloud, product_id)
    topic = online.login.topic("control")
    message = {"ProductId": product_id, "DeviceName": "dev01", "Topic": topic}
    cloud.call("PublishMessage", **message, Payload="灯", Qos=1)
    received = online.client.message()
    assert (received.topic, received.payload) == (topic, "灯".encode())
    encoded = base64.b64encode(b"\x00\xff").decode()
    cloud.call("PublishMessage", **message, Payload=encoded, PayloadEncoding="base64", Qos=0)
    assert online.client.message().payload == b"\x00\xff"
    online.client.disconnect()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Topic": "{pid}/other/control"}, "FailedOperation.InvalidTopicName"),
        ({"Topic": "{pid}/dev01/event"}, "FailedOperation.InvalidTopicName"),
        ({"Topic": "{pid}/dev01/+"}, "FailedOperation.InvalidTopicName"),
        ({"Topic": "{pid}/dev01/data"}, "FailedOperation.DeviceNoSubscription"),
        ({"Payload": "x" * 17000}, "InvalidParameterValue.PayloadOverLimit"),
        ({"Payload": "??", "PayloadEncoding": "base64"}, "InvalidParameterValue"),
        ({"Qos": 2}, "InvalidParameterValue"),
        ({"DeviceName": "stranger"}, "ResourceNotFound.DeviceNotExist"),
    ],
    ids=[
        "another's",
        "publish only",
        "wildcard",
        "no subscriber",
        "large",
        "base64",
        "qos",
        "who",
    ],
)
def test_a_message_that_cannot_be_sent(hub, cloud, product_id, change, code):
    online = Online(hub, cloud, product_id)
    message = {
        "ProductId": product_id,
        "DeviceName": "dev01",
        "Topic": "{pid}/dev01/control",
        "Payload": "x",
    } | change
    message["Topic"] = message["Topic"].format(pid=product_id)
    assert cloud.refusal("PublishMessage", **message) == code
    assert online.client.messages(0.1) == []
    online.client.disconnect()


def test_a_device_that_is_offline(hub, cloud, product_id):
    online = Online(hub, cloud, product_id, clean=False)
    online.client.disconnect()
    topic = online.login.topic("control")
    message = {"ProductId": product_id, "DeviceName": "dev01", "Topic": topic, "Payload": "x"}
    assert cloud.refusal("PublishMessage", **message, Qos=0) == "FailedOperation.DeviceOffline"
    for _ in range(150):
        assert cloud.refusal("PublishMessage", **message, Qos=1) == "LimitExceeded.MessageSaved"
    assert cloud.refusal("PublishMessage", **message, Qos=1) == (
        "LimitExceeded.OfflineMessageExceedLimit"
    )
    cloud.call(
        "UpdateDeviceAvailableState", ProductId=product_id, DeviceName="dev01", EnableState=0
    )
    assert cloud.refusal("PublishMessage", **message) == (
        "UnauthorizedOperation.DeviceIsNotEnabled"
    )


def test_publishing_as_the_device(hub, cloud, old_cloud, product_id):
    cloud.call("CreateDevice", ProductId=product_id, DeviceName="dev01")
    old_cloud.call(
        "PublishAsDevice", ProductId=product_id, DeviceName="dev01", Port=1, Payload="21.5"
    )
    (message,) = hub.call("GET", f"/messages?topic={product_id}/dev01/event")["messages"]
    assert message["payload"] == "21.5"


# The paper.


def test_the_readme_lists_the_actions_and_the_client_has_them_all(hub, cloud, old_cloud):
    paper = Paper(Path(cloud_server.__file__).parents[1] / "README.md")
    versions = {"both": {V2018, V2021}, V2018: {V2018}, V2021: {V2021}}
    listed = {
        name: versions[version]
        for names, version, _ in paper.table("Action")
        for name in re.findall(r"`(\w+)`", names)
    }
    actions = hub.hub.cloud.actions
    assert listed == {name: set(action.versions) for name, action in actions.items()}
    for client, version in ((cloud, V2021), (old_cloud, V2018)):
        for name, action in actions.items():
            assert hasattr(client._client, name) == (version in action.versions), name


# A hub as it is started.


def test_what_make_hub_writes_is_all_a_client_needs(tmp_path):
    data, ready, output = tmp_path / "hub", tmp_path / "ready.json", tmp_path / "output.txt"
    command = [sys.executable, "-m", "tools.hub", "--mqtt-port", "0", "--api-port", "0"]
    with output.open("wb") as said:
        process = subprocess.Popen(
            [*command, "--data", data, "--ready-file", ready],
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "500"},  # lines are not folded
            stdout=said,
            stderr=said,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.05)
        # As tools/hub/README.md has it.
        kept = json.loads((data / "cloud_api.json").read_text())
        profile = HttpProfile(endpoint=kept["endpoint"], certification=kept["certification"])
        keys = credential.Credential(kept["secret_id"], kept["secret_key"])
        client = iotcloud_client.IotcloudClient(
            keys, "ap-guangzhou", ClientProfile(httpProfile=profile)
        )
        request = models.DescribeProductsRequest()
        request.Offset, request.Limit = 0, 10
        (sample,) = client.DescribeProducts(request).Products
        assert sample.ProductName == "sample"
        assert kept["endpoint"].endswith(f":{json.loads(ready.read_text())['cloud_port']}")
    finally:
        process.terminate()
        assert process.wait(START_TIMEOUT_S) == 0
    printed = output.read_text()
    assert f"(keys: {data}/cloud_api.json)" in printed
    assert kept["secret_key"] not in printed


# Strangers.


def test_connections_are_bounded_and_silent_ones_end(tmp_path, monkeypatch):
    monkeypatch.setattr(cloud_server, "MAX_CONNECTIONS", 3)
    monkeypatch.setattr(cloud_server, "READ_TIMEOUT_S", 0.5)
    server = HubServer(tmp_path / "hub.db", cloud_port=0)
    try:
        cloud = CloudClient(server)
        context = ssl.create_default_context(cadata=server.authority_pem())
        silent = [
            context.wrap_socket(
                socket.create_connection(("127.0.0.1", server.ports["cloud"]), 10),
                server_hostname="localhost",
            )
            for _ in range(3)
        ]
        assert cloud.refusal("DescribeProducts", Offset=0, Limit=10) == "ClientNetworkError"
        # One says nothing at all, not even a handshake; one begins and does not go on.
        mute = socket.create_connection(("127.0.0.1", server.ports["cloud"]), 10)
        silent[0].sendall(b"POST / HTTP/1.1\r\nHost: a\r\n")
        for each in (mute, *silent):
            with contextlib.suppress(ConnectionError):
                assert each.recv(1) == b""
            each.close()
        assert CloudClient(server).call("DescribeProducts", Offset=0, Limit=10)["TotalCount"] == 1
        # A body that does not come, on a connection of which the head was read.
        with context.wrap_socket(
            socket.create_connection(("127.0.0.1", server.ports["cloud"]), 10),
            server_hostname="localhost",
        ) as slow:
            slow.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{")
            assert b"InvalidRequest" in slow.recv(4096)
    finally:
        server.stop()
