"""The hub's `$...` services over MQTT, with its API and its commands as the application."""

import base64
import hashlib
import hmac
import json
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest

from host_tests.peers.broker_client import Login, RawClient, publish_bytes
from host_tests.peers.broker_servers import HubServer, signed_login
from tools.hub import cli
from tools.hub.store import Store

TIMEOUT_S = 10


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = HubServer(
        tmp_path_factory.mktemp("hub") / "hub.db", rrpc_timeout_s=1.0, stored_interval_ms=5
    )
    yield server
    server.stop()


class Thing:
    """A device of a product of its own, with a connection or without."""

    def __init__(self, hub: HubServer, kind: str = "normal") -> None:
        self.hub = hub
        self.product_id = hub.call("POST", "/products", name=hub.new_name(), kind=kind)[
            "product_id"
        ]
        self.name = hub.new_name()
        path = f"/products/{self.product_id}/devices"
        self.secret = hub.call("POST", path, name=self.name)["device_secret"]
        self.api = f"{path}/{self.name}"
        self.path = f"{self.product_id}/{self.name}"
        self.names = {"product_id": self.product_id, "device_name": self.name}
        self.login: Login = signed_login(self.product_id, self.name, self.secret)

    def connect(self, stack: ExitStack, *filters: str, **options: Any) -> RawClient:
        client = stack.enter_context(RawClient(self.hub.port))
        code, self.present = client.connect(self.login, **options)
        assert code == 0
        if filters:
            assert client.subscribe(*((each, 1) for each in filters)) == [1] * len(filters)
        return client

    def show(self) -> dict[str, Any]:
        shown: dict[str, Any] = self.hub.call("GET", self.api)
        return shown


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def ask(client: RawClient, topic: str, **request: Any) -> Any:
    client.send(publish_bytes(topic, json.dumps(request).encode()))
    return json.loads(client.message().payload)


def run(hub: HubServer, capsys, *arguments: str, status: int = 0) -> str:
    """What a command prints; on failure, its error."""
    assert cli.main([*arguments, "--api-port", str(hub.api_port)]) == status
    printed = capsys.readouterr()
    return str(printed.err if status else printed.out)


def run_json(hub: HubServer, capsys, *arguments: str) -> Any:
    return json.loads(run(hub, capsys, *arguments, "--json"))


# Shadow.


def test_a_shadow_by_mqtt_api_and_command(hub, stack, capsys):
    lamp = Thing(hub)
    client = lamp.connect(stack, f"$shadow/operation/result/{lamp.path}")
    topic = f"$shadow/operation/{lamp.path}"
    answer = ask(client, topic, type="update", clientToken=1, state={"reported": {"on": True}})
    assert (answer["result"], answer["payload"]["version"]) == (0, 1)
    shown = hub.call("GET", lamp.api + "/shadow")
    assert shown["state"] == {"reported": {"on": True}}
    assert set(shown["metadata"]["reported"]["on"]) == {"timestamp"}
    hub.call("POST", lamp.api + "/shadow", desired={"on": False})
    assert json.loads(client.message().payload)["payload"]["state"] == {"on": False}
    out = run(hub, capsys, "shadow", "show", lamp.product_id, lamp.name)
    assert '"delta":{"on":false}' in "".join(out.split())
    updated = run_json(
        hub, capsys, "shadow", "update", lamp.product_id, lamp.name, '{"level": 3}', "--version=2"
    )
    assert updated["state"]["desired"] == {"on": False, "level": 3}
    assert json.loads(client.message().payload)["payload"]["version"] == 3
    stale = ("shadow", "update", lamp.product_id, lamp.name, "null", "--version", "2")
    assert "version 3, not 2" in run(hub, capsys, *stale, status=1)
    assert "not JSON" in run(hub, capsys, *stale[:4], "{", status=1)
    run(hub, capsys, *stale[:5])
    assert json.loads(client.message().payload)["payload"]["state"] == {"on": None, "level": None}
    assert run_json(hub, capsys, "shadow", "delete", lamp.product_id, lamp.name)["version"] == 5
    assert ask(client, topic, type="get", clientToken="x")["result"] == 5001
    assert "deleted" in run(hub, capsys, "shadow", "show", lamp.product_id, lamp.name, status=1)


def test_refusals_of_the_api(hub):
    lamp = Thing(hub)
    nobody = f"/products/{lamp.product_id}/devices/nobody"
    for method, path, body, status in (
        ("GET", nobody + "/shadow", None, 404),
        ("POST", nobody + "/shadow", {"desired": {}}, 404),
        ("POST", lamp.api + "/shadow", {}, 400),
        ("POST", lamp.api + "/shadow", {"desired": 5}, 400),
        ("POST", lamp.api + "/shadow", {"desired": {"a": [None]}}, 400),
        ("POST", lamp.api + "/shadow", {"desired": {}, "version": 7}, 409),
        ("POST", lamp.api + "/shadow", {"desired": {"a": "x" * 16000}}, 413),
        ("POST", lamp.api + "/call", {}, 400),
        ("POST", lamp.api + "/call", {"payload": "x" * 20000}, 413),
        ("POST", lamp.api + "/call", {"payload": "x"}, 409),
        ("POST", nobody + "/call", {"payload": "x"}, 404),
        ("POST", lamp.api + "/sub_devices/bind", {"devices": [lamp.path]}, 403),
        ("POST", lamp.api + "/sub_devices/bind", {"devices": []}, 400),
        ("POST", lamp.api + "/sub_devices/bind", {"devices": ["x"]}, 400),
        ("GET", nobody + "/sub_devices", None, 404),
        ("POST", "/products/NOSUCHPROD/broadcast", {"payload": ""}, 404),
        ("POST", f"/products/{lamp.product_id}/broadcast", {"payload": "x" * 16350}, 413),
        ("POST", f"/products/{lamp.product_id}/config", {"content": []}, 400),
        ("POST", f"/products/{lamp.product_id}/config", {"enabled": 1}, 400),
        ("POST", f"/products/{lamp.product_id}/config", {"content": {"a": "x" * 16000}}, 413),
        ("POST", f"/products/{lamp.product_id}/config/push", {}, 409),
        ("GET", "/products/NOSUCHPROD/config", None, 404),
        ("POST", lamp.api + "/log_level", {"level": 5}, 400),
        ("POST", nobody + "/log_level", {"level": 1}, 404),
    ):
        assert hub.request(method, path, body)[0] == status, (method, path, body)


# Calls.


def test_a_call_is_answered(hub, stack, capsys):
    lamp = Thing(hub)
    client = lamp.connect(stack, f"$rrpc/rxd/{lamp.path}/+")

    def answer() -> None:
        for payload in (b"\xff\x00", "温度".encode()):
            message = client.message()
            process_id = message.topic.rpartition("/")[2]
            assert message.qos == 0 and 0 < len(process_id) <= 16
            for number in (process_id, process_id, "1"):
                client.send(publish_bytes(f"$rrpc/txd/{lamp.path}/{number}", payload))

    thread = threading.Thread(target=answer)
    thread.start()
    called = hub.call("POST", lamp.api + "/call", payload="how warm?")
    assert base64.b64decode(called["payload_base64"]) == b"\xff\x00" and "payload" not in called
    assert "温度" in run(hub, capsys, "rrpc", lamp.product_id, lamp.name, "how warm?")
    thread.join(TIMEOUT_S)
    # Each second answer, and those to another call, found nobody.
    assert client.is_open()
    actions = [event["action"] for event in hub.events(lamp.login, "service")]
    assert actions.count("refused") == 4


def test_calls_at_once_are_told_apart(hub, stack):
    lamp = Thing(hub)
    client = lamp.connect(stack, f"$rrpc/rxd/{lamp.path}/+")
    answers: dict[str, str] = {}

    def call(payload: str) -> None:
        answers[payload] = hub.call("POST", lamp.api + "/call", payload=payload)["payload"]

    threads = [threading.Thread(target=call, args=(f"call {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    messages = [client.message() for _ in threads]
    for message in reversed(messages):
        topic = message.topic.replace("$rrpc/rxd", "$rrpc/txd")
        client.send(publish_bytes(topic, b"answer to " + message.payload))
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert answers == {f"call {n}": f"answer to call {n}" for n in range(8)}


def test_a_call_that_is_not_answered(hub, stack, capsys):
    lamp = Thing(hub)
    call = lamp.api + "/call"
    assert hub.request("POST", call, {"payload": "x"})[1]["error"]["code"] == "offline"
    client = lamp.connect(stack)
    # Online, but it did not subscribe.
    assert hub.request("POST", call, {"payload": "x"})[1]["error"]["code"] == "offline"
    client.subscribe((f"$rrpc/rxd/{lamp.path}/+", 0))
    started = time.monotonic()
    error = run(hub, capsys, "rrpc", lamp.product_id, lamp.name, "x", status=1)
    assert error == "hub: no answer within 1 s\n"
    assert 1 <= time.monotonic() - started < 5
    message = client.message()
    client.send(publish_bytes(message.topic.replace("rxd", "txd"), b"too late"))
    assert client.is_open()
    assert [event["action"] for event in hub.events(lamp.login, "service")] == [
        "call not answered in time",
        "refused",
    ]


# Gateways.


def bind(client: RawClient, gateway: Thing, device: Thing) -> int:
    timestamp = int(time.time())
    text = f"{device.product_id}{device.name};5;{timestamp}".encode()
    signature = base64.b64encode(hmac.digest(device.secret.encode(), text, hashlib.sha1)).decode()
    entry = {
        **device.names,
        "signature": signature,
        "random": 5,
        "timestamp": timestamp,
        "signmethod": "hmacsha1",
        "authtype": "psk",
    }
    return request(client, gateway, "bind", entry)


def request(client: RawClient, gateway: Thing, kind: str, entry: dict[str, Any]) -> int:
    topic = f"$gateway/operation/{gateway.path}"
    answer = ask(client, topic, type=kind, payload={"devices": [entry]})
    (device,) = answer["payload"]["devices"]
    return int(device["result"])


def send(hub: HubServer, topic: str, payload: str = "x", qos: int = 1) -> str:
    return str(hub.call("POST", "/publish", topic=topic, payload=payload, qos=qos)["outcome"])


def test_a_sub_devices_topics_are_its_gateways_while_it_is_online(hub, stack):
    gateway, meter = Thing(hub, "gateway"), Thing(hub)
    client = gateway.connect(stack, f"$gateway/operation/result/{gateway.path}")
    control, event = f"{meter.path}/control", f"{meter.path}/event"
    result = f"$shadow/operation/result/{meter.path}"

    def is_denied() -> bool:
        client.publish(event, b"not from here")
        assert client.subscribe((control, 1), (result, 0), (f"{meter.path}/#", 0)) == [0x80] * 3
        dropped = hub.events(gateway.login, "drop")[-1]
        return dropped["topic"] == event and send(hub, control) == "dropped"

    assert is_denied()
    assert bind(client, gateway, meter) == 0
    assert is_denied()
    assert request(client, gateway, "online", meter.names) == 0
    assert meter.show()["online"] and meter.show()["gateway"] == gateway.path
    # Its topics, its wildcards, its services.
    assert client.subscribe((f"{meter.path}/#", 1), (result, 0)) == [1, 0]
    assert {each["topic"] for each in meter.show()["subscriptions"]} == {
        control,
        f"{meter.path}/data",
        result,
    }
    assert control not in str(gateway.show()["subscriptions"])
    client.publish(event, b"from the meter")
    (message,) = hub.call("GET", f"/messages?topic={event}")["messages"]
    assert (message["device"], message["payload"]) == (meter.path, "from the meter")
    assert hub.events(meter.login, "publish_in")[-1]["gateway"] == gateway.path
    assert send(hub, control, "to the meter") == "sent"
    assert client.message()[:2] == (control, b"to the meter")
    answer = ask(client, f"$shadow/operation/{meter.path}", type="get", clientToken="t")
    assert answer["result"] == 0
    # No other gateway's.
    other = Thing(hub, "gateway").connect(stack)
    assert other.subscribe((control, 1)) == [0x80]
    assert request(client, gateway, "offline", meter.names) == 0
    assert is_denied()
    assert not meter.show()["online"]
    assert meter.show()["subscriptions"] == []
    # Nothing is left over when it comes back.
    assert request(client, gateway, "online", meter.names) == 0
    assert send(hub, control) == "dropped"


def test_a_persistent_gateway_comes_back_without_its_sub_devices(hub, stack):
    gateway, meter = Thing(hub, "gateway"), Thing(hub)
    mine = f"$gateway/operation/result/{gateway.path}"
    client = gateway.connect(stack, mine, clean=False)
    assert bind(client, gateway, meter) == 0
    assert request(client, gateway, "online", meter.names) == 0
    client.subscribe((f"{meter.path}/control", 1))
    client.disconnect()
    assert not meter.show()["online"]
    assert send(hub, f"{meter.path}/control") == "dropped"
    hub.restart()
    client = gateway.connect(stack, clean=False)
    assert gateway.present
    assert [each["topic"] for each in gateway.show()["subscriptions"]] == [mine]
    assert request(client, gateway, "online", meter.names) == 0


def test_a_hub_that_was_killed_forgets_sub_devices_topics(hub, stack):
    gateway, meter = Thing(hub, "gateway"), Thing(hub)
    mine = f"$gateway/operation/result/{gateway.path}"
    gateway.connect(stack, mine, clean=False).disconnect()
    # As a kill leaves it: the row of a topic that the hub had no time to remove.
    topic = f"{meter.path}/control"
    hub.stop()
    store = Store(hub._config.database)
    store.later("INSERT INTO subscription VALUES (?, ?, 1)", (gateway.path, topic))
    store.close()
    hub.start()
    client = gateway.connect(stack, clean=False)
    assert bind(client, gateway, meter) == 0
    assert request(client, gateway, "online", meter.names) == 0
    assert send(hub, topic) == "dropped"


def test_a_sub_device_that_logs_in_itself_leaves_its_gateway(hub, stack):
    gateway, meter = Thing(hub, "gateway"), Thing(hub)
    client = gateway.connect(stack, f"$gateway/operation/result/{gateway.path}")
    assert bind(client, gateway, meter) == 0
    assert request(client, gateway, "online", meter.names) == 0
    client.subscribe((f"{meter.path}/control", 1))
    own = meter.connect(stack, f"{meter.path}/control")
    assert meter.show()["gateway"] is None
    assert send(hub, f"{meter.path}/control", "to itself") == "sent"
    assert own.message().payload == b"to itself"
    assert client.messages(quiet_s=0.1) == []
    assert request(client, gateway, "online", meter.names) == -2
    own.disconnect()
    assert request(client, gateway, "online", meter.names) == 0
    # Disabled, it is offline at once.
    hub.call("POST", meter.api + "/disable")
    assert not meter.show()["online"]
    assert request(client, gateway, "online", meter.names) == 810


def test_the_application_binds_by_command(hub, stack, capsys):
    gateway, meter, lamp = Thing(hub, "gateway"), Thing(hub), Thing(hub)
    mine = f"$gateway/operation/result/{gateway.path}"
    client = gateway.connect(stack, mine, clean=False)
    who = (gateway.product_id, gateway.name)
    out = run(hub, capsys, "gateway", "bind", *who, meter.path, lamp.path)
    assert meter.path in out and lamp.path in out
    change = json.loads(client.message().payload)
    assert change["payload"] == {"status": 1, "devices": [meter.names, lamp.names]}
    client.send(publish_bytes(f"$gateway/operation/{gateway.path}", b'{"type":"change"}'))
    assert request(client, gateway, "online", lamp.names) == 0
    listed = run_json(hub, capsys, "gateway", "list", *who)["sub_devices"]
    assert listed == [
        {"device": meter.path, "online": False},
        {"device": lamp.path, "online": True},
    ]
    run(hub, capsys, "gateway", "search", *who)
    assert json.loads(client.message().payload)["payload"] == {"status": 1}
    run(hub, capsys, "gateway", "search", *who, "--end")
    assert json.loads(client.message().payload)["payload"] == {"status": 0}
    # What a gateway with a session misses, it hears afterwards.
    client.disconnect()
    assert "not online" in run(hub, capsys, "gateway", "search", *who, status=1)
    run(hub, capsys, "gateway", "unbind", *who, meter.path)
    assert run_json(hub, capsys, "gateway", "unbind-all", *who)["sub_devices"] == []
    client = gateway.connect(stack, clean=False)
    kinds = [json.loads(client.message().payload)["type"] for _ in range(2)]
    assert kinds == ["change", "unbind_all"]
    error = run(hub, capsys, "gateway", "unbind", *who, meter.path, status=1)
    assert "is not bound to" in error


# To all devices of a product.


def test_a_broadcast_reaches_who_is_online(hub, stack, capsys):
    first = Thing(hub)
    path = f"/products/{first.product_id}/devices"
    for name in ("deaf", "away"):
        hub.call("POST", path, name=name)
    client = first.connect(stack, f"$broadcast/rxd/{first.path}")
    secret = hub.call("POST", path, name="second")["device_secret"]
    deaf = stack.enter_context(RawClient(hub.port))
    deaf.connect(signed_login(first.product_id, "second", secret))
    stranger = Thing(hub)
    stranger.connect(stack, f"$broadcast/rxd/{stranger.path}")
    out = run_json(hub, capsys, "broadcast", first.product_id, "fire drill")
    assert out == {"sent": 1, "missed": 1}
    message = client.message()
    assert (message.topic, message.payload) == (f"$broadcast/rxd/{first.path}", b"fire drill")


def test_a_configuration_is_asked_for_and_pushed(hub, stack, capsys):
    lamp = Thing(hub)
    client = lamp.connect(stack, f"$config/operation/result/{lamp.path}")
    topic = f"$config/operation/{lamp.path}"
    refused = {"type": "reply", "result": 1001, "payload": {}}
    assert ask(client, topic, type="get") == refused
    run(hub, capsys, "config", "set", lamp.product_id, '{"rate": {"s": 10}}')
    assert ask(client, topic, type="get")["payload"] == {"rate": {"s": 10}}
    assert run_json(hub, capsys, "config", "push", lamp.product_id) == {"pushed": 1}
    assert json.loads(client.message().payload) == {"type": "push", "payload": {"rate": {"s": 10}}}
    run(hub, capsys, "config", "disable", lamp.product_id)
    assert ask(client, topic, type="get") == refused
    run(hub, capsys, "config", "enable", lamp.product_id)
    hub.restart()
    shown = run_json(hub, capsys, "config", "show", lamp.product_id)
    assert (shown["enabled"], shown["content"]) == (True, {"rate": {"s": 10}})
    client = lamp.connect(stack)
    client.send(publish_bytes(topic, b'{"type":"put"}'))
    assert client.is_open()
    assert hub.events(lamp.login, "service")[-1]["action"] == "refused"


def test_a_log_level_is_asked_for_and_pushed(hub, stack, capsys):
    lamp = Thing(hub)
    client = lamp.connect(stack, f"$log/operation/result/{lamp.path}")
    topic = f"$log/operation/{lamp.path}"
    answer = ask(client, topic, type="get_log_level", clientToken="PID-1")
    assert abs(answer.pop("timestamp") - time.time()) < 60
    assert answer == {
        "type": "get_log_level",
        "clientToken": "PID-1",
        "log_level": 0,
        "result": 0,
    }
    who = (lamp.product_id, lamp.name)
    run(hub, capsys, "log-level", *who, "info")
    assert json.loads(client.message().payload)["log_level"] == 3
    assert run_json(hub, capsys, "log-level", *who)["name"] == "info"
    hub.restart()
    client = lamp.connect(stack, f"$log/operation/result/{lamp.path}")
    assert ask(client, topic, type="get_log_level", clientToken=5)["log_level"] == 3


def test_a_broadcast_reaches_sub_devices_by_their_gateway(hub, stack):
    gateway, meter = Thing(hub, "gateway"), Thing(hub)
    client = gateway.connect(stack, f"$gateway/operation/result/{gateway.path}")
    assert bind(client, gateway, meter) == 0
    assert request(client, gateway, "online", meter.names) == 0
    topic = f"$broadcast/rxd/{meter.path}"
    assert client.subscribe((topic, 1)) == [1]
    path = f"/products/{meter.product_id}/broadcast"
    assert hub.call("POST", path, payload="to meters") == {"sent": 1, "missed": 0}
    assert client.message()[:2] == (topic, b"to meters")


def test_answers_come_late_on_request(hub, stack):
    lamp = Thing(hub)
    client = lamp.connect(stack, f"$shadow/operation/result/{lamp.path}")
    topic = f"$shadow/operation/{lamp.path}"
    hub.arm("answer_late", lamp.login, delay_ms=300)
    hub.arm("answer_withhold", lamp.login)
    started = time.monotonic()
    client.send(publish_bytes(topic, b'{"type":"get","clientToken":"withheld"}'))
    assert ask(client, topic, type="get", clientToken="late")["clientToken"] == "late"
    assert time.monotonic() - started >= 0.3


# What happened.


def test_the_log_is_searched_by_command(hub, stack, capsys):
    lamp = Thing(hub)
    client = lamp.connect(stack, f"{lamp.path}/control")
    client.publish(f"{lamp.path}/control", b"forbidden")
    client.publish(f"{lamp.path}/event", b"fine")
    of_lamp = ("log", "search", "--device", lamp.path)
    kinds = [event["kind"] for event in run_json(hub, capsys, *of_lamp)["events"]]
    assert kinds == ["publish_in", "drop", "subscribe", "connect", "registry"]
    page = run_json(hub, capsys, *of_lamp, "--limit", "2", "--oldest-first")
    assert [event["kind"] for event in page["events"]] == ["registry", "connect"]
    page = run_json(
        hub, capsys, *of_lamp, "--oldest-first", "--after", str(page["next_after"]), "--limit", "9"
    )
    assert [event["kind"] for event in page["events"]] == ["subscribe", "drop", "publish_in"]
    assert page["next_after"] is None
    found = run_json(hub, capsys, "log", "search", "SUBSCRIBE ONLY", "--product", lamp.product_id)
    assert [event["kind"] for event in found["events"]] == ["drop"]
    found = run_json(hub, capsys, *of_lamp, "--kind", "drop", "--kind", "connect", "--since", "1h")
    assert [event["kind"] for event in found["events"]] == ["drop", "connect"]
    assert run_json(hub, capsys, *of_lamp, "--until", "1h")["events"] == []
    assert run_json(hub, capsys, *of_lamp, "--since", "2100-01-01")["events"] == []
    assert "drop" in run(hub, capsys, *of_lamp)
    assert run(hub, capsys, *of_lamp, "--since", "2100-01-01") == "no event matches\n"
    assert "there are more: --after" in run(hub, capsys, *of_lamp, "--limit", "1")
    assert "write a time as" in run(hub, capsys, *of_lamp, "--since", "yesterday", status=1)


def test_subscriptions_are_listed_by_command(hub, stack, capsys):
    lamp = Thing(hub)
    lamp.connect(stack, f"{lamp.path}/#", f"$rrpc/rxd/{lamp.path}/+")
    listed = run_json(hub, capsys, "subscriptions", lamp.product_id, lamp.name)
    assert {each["topic"] for each in listed} == {
        f"{lamp.path}/control",
        f"{lamp.path}/data",
        f"$rrpc/rxd/{lamp.path}/+",
    }
    assert f"{lamp.path}/control" in run(hub, capsys, "subscriptions", lamp.product_id, lamp.name)
