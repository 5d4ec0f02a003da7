"""Devices at the hub's HTTP gateway: the examples a user would run, and the vendor's Python SDK,
which registers by it."""

import json
import subprocess

import pytest

from host_tests.e2e.scenario import run
from host_tests.peers.broker_everyway import TIMEOUT_S, Device, EveryWayHub
from host_tests.peers.broker_servers import signed_login
from host_tests.peers.test_http_services import example
from host_tests.peers.test_hub_http import Registering, messages
from host_tests.peers.test_hub_vendor import sdk_python  # noqa: F401, a fixture

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    server = EveryWayHub(folder, http_port=0, https_port=0, stored_interval_ms=5)
    yield server
    server.stop()


def write_config(hub, folder, scheme, **fields):
    """A device.json beside the example; MQTT is by TCP, or by TLS where it has a certificate."""
    listener = "tls" if "certificate" in fields or fields.pop("certified", False) else "tcp"
    settings = {
        "host": HOST,
        "port": hub.ports[listener],
        "transport": listener,
        "ca": str(hub.hub.config.data / "ca/ca.der"),
        "http": {"transport": scheme, "host": HOST, "port": hub.ports[scheme]},
    }
    path = folder / "device.json"
    path.write_text(json.dumps({**settings, **fields}))
    return path


def identity(device):
    return {"product_id": device.login.product_id, "device_name": device.name}


def credentials(device):
    if hasattr(device, "secret"):
        return {"device_secret": device.secret}
    names = ("certificate", "private_key")
    return {name: f"{device.folder}/{name}.der" for name in names}


@pytest.mark.parametrize(("scheme", "auth"), [("https", "key"), ("http", "cert")])
def test_the_example_registers_and_logs_in(hub, tmp_path, scheme, auth):
    product = Registering(hub, auth=auth, limit=1)
    path = write_config(
        hub, tmp_path, scheme, certified=auth == "cert", product_id=product.product_id,
        device_name="dev01", product_secret=product.secret,
    )  # fmt: skip

    async def scenario():
        for _ in range(2):
            lines = await example(tmp_path, "register")
            assert lines == [f"online as Identity({product.product_id}/dev01)"]

    run(scenario)
    written = json.loads(path.read_text())
    assert "product_secret" not in written
    assert ("device_secret" in written) == (auth == "key")
    topic = f"{product.product_id}/dev01/event"
    assert [each["payload"] for each in messages(hub, topic)] == ['{"registered": true}'] * 2
    shown = hub.call("GET", f"/products/{product.product_id}/registration")
    assert shown["registered"] == 1
    events = hub.call("GET", f"/events?device={product.product_id}/dev01&kind=register")["events"]
    assert [(event["state"], event["transport"]) for event in events] == [("new", scheme)]


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("off", "UnsupportedOperation.DynamicRegisterSwitchOff"),
        ("preset", "ResourceNotFound.DeviceNotExist"),
        ("limit", "LimitExceeded.DeviceExceedLimit"),
    ],
)
def test_a_refusal_reaches_the_user_with_what_to_do(hub, tmp_path, mode, told):
    product = Registering(hub, mode if mode != "limit" else "auto", 0)
    path = write_config(
        hub, tmp_path, "http", product_id=product.product_id, device_name="dev01",
        product_secret=product.secret,
    )  # fmt: skip
    before = path.read_text()

    async def scenario():
        lines = await example(tmp_path, "register")
        assert told in lines[-1] and len(lines[-1]) > len(told) + 60, lines
        assert product.secret not in "".join(lines)

    run(scenario)
    assert path.read_text() == before


@pytest.mark.parametrize(("scheme", "auth"), [("http", "key"), ("https", "cert")])
def test_the_example_publishes(hub, tmp_path, scheme, auth):
    device = Device(hub, auth, "rsa")
    write_config(hub, tmp_path, scheme, **identity(device), **credentials(device))

    async def scenario():
        lines = await example(tmp_path, "http_publish")
        assert len(lines) == 2 and all(line.startswith("request ") for line in lines), lines

    run(scenario)
    found = messages(hub, device.login.topic("event"))
    assert [(each["payload"], each["qos"]) for each in found] == [
        ('{"celsius": 21.5}', 1),
        ("\x15\x05", 0),
    ]


@pytest.mark.parametrize(("scheme", "level"), [("http", 1), ("https", 3), ("http", 4)])
def test_the_example_uploads_its_log(hub, tmp_path, scheme, level):
    device = Device(hub)
    write_config(hub, tmp_path, scheme, **identity(device), **credentials(device))
    path = f"/products/{device.login.product_id}/devices/{device.name}/log_level"
    hub.call("POST", path, level=level)

    async def scenario():
        assert await example(tmp_path, "logs") == ["log uploaded, 0 lines dropped"]

    run(scenario)
    lines = [(e["level"], e["text"]) for e in hub.events(device.login, "device_log")]
    texts = [(kind, text.split("|", 1)[1]) for kind, text in lines]
    assert (("INF", f"level is {level}") in texts) == (level >= 3)
    assert (("DBG", "1000 bytes free") in texts) == (level >= 4)
    assert any(kind == "ERR" and "ValueError: invalid syntax" in text for kind, text in texts)


def test_faults_reach_the_user_as_errors(hub, tmp_path):
    device = Device(hub)
    write_config(hub, tmp_path, "http", **identity(device), **credentials(device))

    async def publish():
        return (await example(tmp_path, "http_publish"))[-1]

    def told(kind, **parameters):
        lines = []

        async def scenario():
            lines.append(await publish())

        hub.arm(kind, device.login, **parameters)
        run(scenario)
        return lines[0]

    assert told("http_refuse").startswith("publish: AuthFailure.SignatureFailure")
    assert "InternalError" in told("http_status", status=503)
    assert told("http_cut", bytes=5).startswith("receive: ")


# The vendor's SDK.

REGISTER = """
import json, socket, sys
settings = json.loads(sys.stdin.readline())
resolve = socket.getaddrinfo
def resolve_cloud(host, port, *options, **named):
    if host.endswith(".tencentdevices.com"):
        host, port = "127.0.0.1", settings["port"]
    return resolve(host, port, *options, **named)
socket.getaddrinfo = resolve_cloud
from hub.hub import QcloudHub
found = QcloudHub(settings["file"], tls=False).hub.dynregDevice()
print(json.dumps(found))
"""


def sdk_registers(hub, python, folder, product, name="dev01"):
    """(what it returned, the file it keeps)."""
    path = folder / "device_info.json"
    files = {"devCaFile": "", "devCertFile": "", "devPrivateKeyFile": ""}
    path.write_text(
        json.dumps(
            {
                "region": "china",
                "auth_mode": "KEY",
                "productId": product.product_id,
                "productSecret": product.secret,
                "deviceName": name,
                "key_deviceinfo": {"deviceSecret": "AAAAAAAAAAAAAAAAAAAAAA=="},
                "cert_deviceinfo": files,
            }
        )
    )
    settings = json.dumps({"port": hub.ports["http"], "file": str(path)})
    done = subprocess.run(
        [python, "-c", REGISTER], input=settings + "\n", capture_output=True, text=True,
        timeout=2 * TIMEOUT_S, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1]), json.loads(path.read_text())


def test_the_vendors_sdk_registers(hub, sdk_python, tmp_path):  # noqa: F811
    product = Registering(hub, limit=1)
    for _ in range(2):
        (code, secret), kept = sdk_registers(hub, sdk_python, tmp_path, product)
        device = hub.hub.registry.products[product.product_id].devices["dev01"]
        assert (code, secret) == (0, device.secret)
        assert kept["key_deviceinfo"]["deviceSecret"] == secret
    login = signed_login(product.product_id, "dev01", secret)
    with hub.client(login) as connected:
        assert connected.connect(login)[0] == 0
    product.set("off")
    (code, message), _ = sdk_registers(hub, sdk_python, tmp_path, product)
    assert code == -1 and "switched off" in message
