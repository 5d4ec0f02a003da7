"""The loopback HTTP API of the hub."""

import http.client
import json

import pytest

from host_tests.peers.broker_client import RawClient, publish_bytes
from host_tests.peers.broker_servers import HubServer, signed_login


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = HubServer(tmp_path_factory.mktemp("hub") / "hub.db")
    yield server
    server.stop()


def refusal(hub: HubServer, method: str, path: str, body=None, **headers) -> tuple[int, str]:
    status, answer = hub.request(method, path, body, **headers)
    assert set(answer) == {"error"} and set(answer["error"]) == {"code", "message"}
    assert answer["error"]["message"]
    return status, answer["error"]["code"]


def test_secrets_are_shown_once(hub):
    product = hub.call("POST", "/products", name="once", kind="gateway")
    product_id, secret = product["product_id"], product["product_secret"]
    assert len(product_id) == 10 and product_id.isalnum() and product_id.upper() == product_id
    path = f"/products/{product_id}/devices"
    device = hub.call("POST", path, name="dev01")
    everything = [
        hub.call("GET", each)
        for each in ("/products", path, path + "/dev01", "/events?limit=10000", "/messages")
    ]
    assert secret not in json.dumps(everything)
    assert device["device_secret"] not in json.dumps(everything)


def test_names_are_unique(hub):
    product_id = hub.call("POST", "/products", name="unique")["product_id"]
    hub.call("POST", f"/products/{product_id}/devices", name="dev01")
    hub.call("POST", f"/products/{product_id}/topics", topic="a/b", permission="pub")
    for path, body in (
        ("/products", {"name": "unique"}),
        (f"/products/{product_id}/devices", {"name": "dev01"}),
        (f"/products/{product_id}/topics", {"topic": "a/b", "permission": "sub"}),
        (f"/products/{product_id}/topics", {"topic": "control", "permission": "pub"}),
    ):
        assert refusal(hub, "POST", path, body) == (409, "conflict")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/nothing", None, (404, "http")),
        ("PUT", "/products", None, (405, "http")),
        ("GET", "/products/NOSUCHPROD/devices", None, (404, "not_found")),
        ("GET", "/products/short/devices", None, (400, "invalid")),
        ("POST", "/products", {}, (400, "invalid")),
        ("POST", "/products", [], (400, "invalid")),
        ("POST", "/products", {"name": ""}, (400, "invalid")),
        ("POST", "/products", {"name": 5}, (400, "invalid")),
        ("POST", "/products", {"name": "x", "auth": "none"}, (400, "invalid")),
        ("POST", "/products", {"name": "x", "kind": "none"}, (400, "invalid")),
        ("POST", "/products/{pid}/devices", {"name": "a/b"}, (400, "invalid")),
        ("GET", "/products/{pid}/devices/nobody", None, (404, "not_found")),
        ("POST", "/products/{pid}/devices/nobody/disable", {}, (404, "not_found")),
        ("POST", "/products/{pid}/topics", {"topic": "a", "permission": "x"}, (400, "invalid")),
        ("POST", "/products/{pid}/topics", {"topic": "+", "permission": "pub"}, (400, "invalid")),
        ("DELETE", "/products/{pid}/topics?topic=nothing", None, (404, "not_found")),
        ("DELETE", "/products/{pid}/topics?topic=event", None, (400, "invalid")),
        ("POST", "/publish", {"topic": "x", "payload": ""}, (400, "invalid")),
        ("POST", "/publish", {"topic": "{pid}/nobody/control", "payload": ""}, (404, "not_found")),
        ("POST", "/publish", {"topic": "{pid}/dev1/event", "payload": ""}, (403, "forbidden")),
        ("POST", "/publish", {"topic": "{pid}/dev1/#", "payload": ""}, (400, "invalid")),
        ("POST", "/publish", {"topic": "{pid}/dev1/\ud800", "payload": ""}, (400, "invalid")),
        ("POST", "/publish", {"topic": "{pid}/dev1/control"}, (400, "invalid")),
        (
            "POST",
            "/publish",
            {"topic": "{pid}/dev1/control", "payload": "", "qos": 2},
            (400, "invalid"),
        ),
        (
            "POST",
            "/publish",
            {"topic": "{pid}/dev1/control", "payload_base64": "*"},
            (400, "invalid"),
        ),
        (
            "POST",
            "/publish",
            {"topic": "{pid}/dev1/control", "payload": "x" * 16384},
            (413, "too_large"),
        ),
        ("POST", "/publish", {"payload": "x" * 70_000}, (413, "http")),
        ("GET", "/messages?after=-1", None, (400, "invalid")),
        ("GET", "/messages?limit=99999", None, (400, "invalid")),
        ("GET", "/messages?topic=a%23", None, (400, "invalid")),
        ("GET", "/watch?filter=a%23", None, (400, "invalid")),
        ("GET", "/events?after=x", None, (400, "invalid")),
        ("POST", "/clock", {"offset_s": "1"}, (400, "invalid")),
        ("POST", "/clock", {"offset_s": 10**12}, (400, "invalid")),
    ],
)
def test_errors(hub, method, path, body, expected):
    if not any(d["device_name"] == "dev1" for d in _devices(hub)):
        hub.new_device()
    path = path.replace("{pid}", hub.product_id)
    body = json.loads(json.dumps(body).replace("{pid}", hub.product_id))
    assert refusal(hub, method, path, body) == expected


def _devices(hub):
    return hub.call("GET", f"/products/{hub.product_id}/devices")["devices"]


def test_only_the_loopback_host_and_json_are_let_in(hub):
    body = {"name": "foreign"}
    for host in ("evil.example", "evil.example:80", f"127.0.0.1.evil.example:{hub.api_port}"):
        assert refusal(hub, "GET", "/health", Host=host) == (403, "forbidden_host")
        assert refusal(hub, "POST", "/products", body, Host=host) == (403, "forbidden_host")
    for host in ("localhost", f"localhost:{hub.api_port}", "127.0.0.1", "[::1]", "[::1]:80"):
        assert hub.request("GET", "/health", Host=host)[0] == 200
    form = {"Content-Type": "text/plain"}
    assert refusal(hub, "POST", "/products", body, **form) == (415, "not_json")
    names = [product["name"] for product in hub.call("GET", "/products")["products"]]
    assert "foreign" not in names


@pytest.mark.parametrize(
    ("body", "charset"),
    [(b"{", ""), (b"\xff", ""), (b"\xff", "; charset=utf-8"), (b"{", "; charset=none-such")],
    ids=["cut", "no-utf8", "no-utf8-that-says-so", "unknown-charset"],
)
def test_a_body_that_is_not_json(hub, body, charset):
    connection = http.client.HTTPConnection("127.0.0.1", hub.api_port, timeout=5)
    connection.request("POST", "/products", body, {"Content-Type": "application/json" + charset})
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["error"]["code"]) == (400, "not_json")


def test_a_sub_device_that_is_named_twice_is_one(hub):
    product = hub.call("POST", "/products", name="gateways", kind="gateway")["product_id"]
    hub.call("POST", f"/products/{product}/devices", name="gw")
    if not any(d["device_name"] == "dev1" for d in _devices(hub)):
        hub.new_device()
    path = f"/products/{product}/devices/gw/sub_devices"
    twice = [f"{hub.product_id}/dev1"] * 2
    bound = hub.call("POST", path + "/bind", devices=twice)["sub_devices"]
    assert [each["device"] for each in bound] == twice[:1]
    assert hub.call("POST", path + "/unbind", devices=twice)["sub_devices"] == []


def test_health(hub):
    health = hub.call("GET", "/health")
    assert (health["mqtt_port"], health["api_port"]) == (hub.port, hub.api_port)


def test_messages_are_recorded_with_payload_time_and_id(hub):
    login = hub.new_device()
    topic = login.topic("event")
    with RawClient(hub.port) as client:
        client.connect(login)
        client.publish(topic, "\u6e29\u5ea6".encode())
        client.publish(topic, b"\xff\x00", packet_id=2, dup=True)
        client.send(publish_bytes(login.topic("data"), b""))
        assert client.is_open()
    recorded = hub.call("GET", f"/messages?topic={topic}")["messages"]
    assert [each["qos"] for each in recorded] == [1, 1]
    assert [each["dup"] for each in recorded] == [False, True]
    assert recorded[0]["payload"] == "\u6e29\u5ea6"
    assert "payload" not in recorded[1] and recorded[1]["payload_base64"] == "/wA="
    assert recorded[0]["id"] < recorded[1]["id"]
    assert recorded[0]["at_ms"] <= recorded[1]["at_ms"] <= hub.call("GET", "/health")["now_ms"]
    path = "/".join(login[:2])
    assert len(hub.call("GET", f"/messages?topic={path}/%23")["messages"]) == 3
    assert len(hub.call("GET", f"/messages?topic={path}/%2B&limit=2")["messages"]) == 2
    after = recorded[0]["id"]
    assert len(hub.call("GET", f"/messages?topic={topic}&after={after}")["messages"]) == 1


def test_publish_says_what_became_of_it(hub):
    login = hub.new_device()
    topic = login.topic("control")

    def outcome(qos: int) -> tuple[str, str]:
        answer = hub.call("POST", "/publish", topic=topic, payload_base64="/wA=", qos=qos)
        return answer["outcome"], answer["reason"]

    assert outcome(1) == ("dropped", "offline without a persistent session")
    with RawClient(hub.port) as client:
        client.connect(login, clean=False)
        assert outcome(1) == ("dropped", "not subscribed")
        client.subscribe((topic, 1))
        assert outcome(1) == ("sent", "") and outcome(0) == ("sent", "")
        assert [client.message().payload for _ in range(2)] == [b"\xff\x00"] * 2
        client.disconnect()
    assert outcome(1) == ("stored", "")
    assert outcome(0) == ("dropped", "offline, and QoS 0 is never stored")


def test_watch_streams_both_directions(hub):
    login = hub.new_device()
    connection = http.client.HTTPConnection("127.0.0.1", hub.api_port, timeout=5)
    path = "/".join(login[:2])
    connection.request("GET", f"/watch?filter={path}/%23")
    stream = connection.getresponse()
    with RawClient(hub.port) as client:
        client.connect(login)
        client.subscribe((login.topic("control"), 0))
        client.publish(login.topic("event"), b"up")
        hub.send(login.topic("control"), b"down", 0)
        lines = [json.loads(stream.readline()) for _ in range(2)]
    assert [(line["direction"], line["payload"]) for line in lines] == [
        ("in", "up"),
        ("out", "down"),
    ]
    assert lines[0]["device"] == path and lines[0]["missed"] == 0
    connection.close()


def test_device_shows_its_session(hub):
    login = hub.new_device()
    path = f"/products/{login.product_id}/devices/{login.device_name}"
    assert hub.call("GET", path)["session"] is None
    with RawClient(hub.port) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("#"), 1))
        shown = hub.call("GET", path)
        assert shown["online"] and shown["session"]["persistent"]
        assert shown["subscriptions"] == [
            {"topic": login.topic("control"), "qos": 1},
            {"topic": login.topic("data"), "qos": 1},
        ]
        assert shown["last_login_ms"] >= shown["created_ms"]


def test_a_device_is_removed_with_its_session_and_then_its_product(hub):
    product_id = hub.call("POST", "/products", name="short-lived")["product_id"]
    device_path = f"/products/{product_id}/devices/dev01"
    created = hub.call("POST", f"/products/{product_id}/devices", name="dev01")
    login = signed_login(product_id, "dev01", created["device_secret"])
    with RawClient(hub.port) as client:
        assert client.connect(login, clean=False) == (0, False)
        assert refusal(hub, "DELETE", f"/products/{product_id}") == (409, "conflict")
        assert hub.call("DELETE", device_path) == {"removed": f"{product_id}/dev01"}
        assert client.wait_closed()
    with RawClient(hub.port) as client:
        assert client.connect(login)[0] == 5
    assert refusal(hub, "GET", device_path) == (404, "not_found")
    # Another of its name begins with nothing.
    created = hub.call("POST", f"/products/{product_id}/devices", name="dev01")
    with RawClient(hub.port) as client:
        again = signed_login(product_id, "dev01", created["device_secret"])
        assert client.connect(again, clean=False) == (0, False)
        client.disconnect()
    hub.call("DELETE", device_path)
    hub.call("DELETE", f"/products/{product_id}")
    hub.restart()
    assert refusal(hub, "GET", f"/products/{product_id}") == (405, "http")
    assert refusal(hub, "GET", f"/products/{product_id}/devices") == (404, "not_found")
