"""Rules at work: what devices publish, report and are reaches other devices and HTTP servers."""

import base64
import hashlib
import json
import queue
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from host_tests.peers.broker_client import RawClient, publish_bytes
from host_tests.peers.broker_servers import HubServer, signed_login
from host_tests.peers.cloud_client import CloudClient
from tools.hub.cli import main as hub_command
from tools.hub.rules import forwarding
from tools.hub.rules.forwarding import sign

TIMEOUT_S = 15
TOKEN = "aaa"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = HubServer(tmp_path_factory.mktemp("hub") / "hub.db", cloud_port=0)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cloud(hub):
    return CloudClient(hub)


@pytest.fixture
def no_rules(hub):
    """Each test has the rules it makes, and no other."""
    yield
    for rule in hub.call("GET", "/rules")["rules"]:
        hub.call("DELETE", f"/rules/{rule['name']}")


class Device:
    """A device with a connection, subscribed to `control` and `data`."""

    def __init__(self, hub: HubServer) -> None:
        name = hub.new_name()
        path = f"/products/{hub.product_id}/devices"
        secret = hub.call("POST", path, name=name)["device_secret"]
        self.login = signed_login(hub.product_id, name, secret)
        self.name = name
        self.client = RawClient(hub.port)
        assert self.client.connect(self.login)[0] == 0
        filters = [(self.login.topic(topic), 1) for topic in ("control", "data")]
        assert self.client.subscribe(*filters) == [1, 1]

    def publish(self, payload: Any, topic: str = "event") -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.client.publish(self.login.topic(topic), data)


class Server:
    """An HTTP server: keeps what it gets, answers with the statuses it is told to."""

    def __init__(self, token: str = "", statuses: tuple[int, ...] = (), echo: bool = True) -> None:
        self.posts: queue.Queue[tuple[dict[str, str], Any]] = queue.Queue()
        self.gets = 0
        waiting = list(statuses)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.gets += 1
                self._answer(200, self.headers.get("Echostr", "") if echo else "hello")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.posts.put((dict(self.headers.items()), json.loads(body)))
                self._answer(waiting.pop(0) if waiting else 200, "ok")

            def _answer(self, status: int, text: str) -> None:
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/sub?a=1"
        self.token = token
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def action(self) -> dict[str, Any]:
        return {"forward": {"api": self.url, "token": self.token}}


def add_rule(hub: HubServer, sql: str, *actions: dict[str, Any], name: str = "r1") -> None:
    hub.call("POST", "/rules", name=name, sql=sql, actions=list(actions))


def republish(topic: str) -> dict[str, Any]:
    return {"republish": {"topic": topic}}


def tally(hub: HubServer, name: str = "r1", **wanted: int) -> dict[str, Any]:
    """A rule's counters, once they are what is wanted."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        shown = hub.call("GET", f"/rules/{name}")
        if all(shown[key] == value for key, value in wanted.items()):
            return dict(shown)
        assert time.monotonic() < deadline, shown
        time.sleep(0.02)


# Republishing.


def test_a_device_reaches_another_through_a_rule(hub, no_rules):
    thermometer, heater = Device(hub), Device(hub)
    add_rule(
        hub,
        f"SELECT t AS reading, deviceName() AS source FROM '{hub.product_id}/+/event' "
        "WHERE t < 18",
        republish(f"{hub.product_id}/{heater.name}/control"),
    )
    thermometer.publish({"t": 21})
    thermometer.publish({"t": 17.5})
    received = heater.client.message()
    assert received.topic == heater.login.topic("control")
    assert json.loads(received.payload) == {"reading": 17.5, "source": thermometer.name}
    shown = tally(hub, matched=2, passed=1, done=1, failed=0)
    assert shown["last_error"] == ""


def test_the_topic_may_name_selected_fields_and_qos_is_kept(hub, no_rules):
    sender, target = Device(hub), Device(hub)
    add_rule(
        hub,
        f"SELECT * FROM '{hub.product_id}/{sender.name}/event'",
        republish("${productId}/${target}/data"),
    )
    for qos in (0, 1):
        payload = json.dumps({"target": target.name, "qos": qos}).encode()
        topic = sender.login.topic("event")
        if qos:
            sender.client.publish(topic, payload)
        else:
            sender.client.send(publish_bytes(topic, payload))
        received = target.client.message()
        assert (received.payload, received.qos) == (payload, qos)
    wrongs = ("a/b", "nobody", {"a": 1}, "\ud800", "a\u0000b", "x" * 200, True)
    for wrong in wrongs:
        sender.publish({"target": wrong})
    sender.publish({})
    shown = tally(hub, done=2, failed=len(wrongs) + 1)
    assert "the hub failed" not in shown["last_error"]
    last = [each["reason"] for each in hub.events(sender.login, "rule") if "reason" in each]
    assert len(last) == len(wrongs) + 1 and not any("the hub failed" in each for each in last)


def test_it_does_not_matter_how_a_device_publishes(hub, no_rules):
    sender, target = Device(hub), Device(hub)
    add_rule(
        hub,
        f"SELECT * FROM '{sender.login.topic('event')}'",
        republish(target.login.topic("control")),
    )
    # As over HTTP and CoAP: without a packet of MQTT.
    CloudClient(hub, "v20180614").call(
        "PublishAsDevice",
        ProductId=hub.product_id,
        DeviceName=sender.name,
        Port=1,
        Payload="by the application",
    )
    assert target.client.message().payload == b"by the application"


def test_rules_make_no_circles(hub, no_rules):
    first, second = Device(hub), Device(hub)
    for name, source, target in (("there", first, second), ("back", second, first)):
        add_rule(
            hub,
            f"SELECT * FROM '{source.login.topic('data')}'",
            republish(target.login.topic("data")),
            name=name,
        )
    first.client.send(publish_bytes(first.login.topic("data"), b"once"))
    assert second.client.message().payload == b"once"
    # Its own publish comes back to it, as it subscribed to the topic; nothing else does.
    assert [each.payload for each in first.client.messages(0.3)] == [b"once"]
    assert second.client.messages(0.1) == []
    assert tally(hub, "back")["matched"] == 0


def test_a_failing_action_harms_neither_the_device_nor_the_next(hub, no_rules):
    sender, target = Device(hub), Device(hub)
    add_rule(
        hub,
        f"SELECT * FROM '{sender.login.topic('event')}'",
        republish(f"{hub.product_id}/nobody/control"),
        republish(target.login.topic("event")),  # which it may publish to only
        republish(target.login.topic("control")),
    )
    sender.publish(b"not JSON \xff")
    assert target.client.message().payload == b"not JSON \xff"
    tally(hub, matched=1, done=1, failed=2)
    events = hub.events(sender.login, "rule")
    assert [each["result"] for each in events] == ["failed", "failed", "ok"]
    sender.publish({"still": "served"})
    assert target.client.message()


def test_a_disabled_rule_does_nothing_and_all_outlive_the_hub(hub, no_rules):
    device = Device(hub)
    add_rule(hub, f"SELECT * FROM '{device.login.topic('event')}'", republish("A/B/control"))
    hub.call("POST", "/rules/r1/disable")
    device.publish({"a": 1})
    assert tally(hub)["matched"] == 0
    assert hub.request("POST", "/rules/r1/disable", {})[0] == 409
    device.client.disconnect()
    hub.restart()
    shown = hub.call("GET", "/rules/r1")
    assert (shown["enabled"], shown["actions"]) == (False, [republish("A/B/control")])
    hub.call("POST", "/rules/r1/enable")
    with RawClient(hub.port) as client:
        assert client.connect(device.login)[0] == 0
        client.publish(device.login.topic("event"), b"{}")
    tally(hub, matched=1, failed=1)


# The state of devices, and their shadows.


def test_rules_hear_of_states(hub, no_rules):
    watcher = Device(hub)
    add_rule(
        hub,
        "SELECT Event, DeviceName FROM '$state/report/+/+' "
        f"WHERE ProductId = '{hub.product_id}' AND MsgType = 'StatusChange'",
        republish(watcher.login.topic("control")),
    )
    device = Device(hub)
    device.client.disconnect()
    told = [json.loads(watcher.client.message().payload) for _ in range(2)]
    assert told == [
        {"Event": "Online", "DeviceName": device.name},
        {"Event": "Offline", "DeviceName": device.name},
    ]


def test_rules_hear_of_what_shadows_report_and_not_of_what_is_desired(hub, no_rules):
    watcher, device = Device(hub), Device(hub)
    add_rule(
        hub,
        f"SELECT state.reported.t AS t, version FROM '$shadow/operation/{hub.product_id}/+'",
        republish(watcher.login.topic("control")),
    )
    topic = f"$shadow/operation/{hub.product_id}/{device.name}"
    for request in (
        {"type": "get", "clientToken": "a"},
        {"type": "update", "state": {"reported": {"t": 1}}, "clientToken": "b"},
        {"type": "update", "state": {"reported": {"t": 2}}, "version": 99, "clientToken": "c"},
        {"type": "update", "state": {"reported": {"t": 3}}, "clientToken": "d"},
    ):
        device.client.send(publish_bytes(topic, json.dumps(request).encode()))
        shadow = f"/products/{hub.product_id}/devices/{device.name}/shadow"
        if request["type"] == "get":
            hub.call("POST", shadow, desired={"t": 9})
    told = [json.loads(watcher.client.message().payload) for _ in range(2)]
    # The third was refused for its version; the first version is the application's.
    assert told == [{"t": 1, "version": 2}, {"t": 3, "version": 3}]


# Forwarding.


def test_a_message_is_forwarded_and_signed(hub, no_rules):
    device = Device(hub)
    with Server(TOKEN) as server:
        add_rule(hub, f"SELECT params FROM '{device.login.topic('event')}'", server.action())
        assert server.gets == 1
        params = {"power_switch": 1, "名": "灯"}
        device.publish({"params": params, "more": 1})
        headers, body = server.posts.get(timeout=TIMEOUT_S)
        assert headers["Signature"] == sign(TOKEN, headers["Timestamp"], headers["Nonce"])
        assert abs(int(headers["Timestamp"]) - time.time()) < 60
        assert len(headers["Nonce"]) == 16 and headers["Content-Type"] == "application/json"
        assert isinstance(body.pop("seq"), int) and abs(body.pop("timestamp") - time.time()) < 60
        assert body == {
            "devicename": device.name,
            "productid": hub.product_id,
            "topic": device.login.topic("event"),
            "payload": {"params": params},
        }
        tally(hub, done=1)
    assert TOKEN not in json.dumps([hub.call("GET", "/rules"), hub.call("GET", "/events")])


def test_the_signature_is_the_one_of_the_vendors_page():
    assert sign("aaa", "1604458421", "IkOaKMDalrAzUTxC") == (
        "c259ed29ec13ba7c649fe0893007401a36e70453"
    )
    joined = "1604458421" + "IkOaKMDalrAzUTxC" + "aaa"
    assert hashlib.sha1(joined.encode()).hexdigest().startswith("c259ed29")


def test_a_server_that_fails_is_tried_again_and_counted(hub, no_rules, monkeypatch):
    monkeypatch.setattr(forwarding, "RETRY_AFTER_S", (0.05, 0.05))
    device = Device(hub)
    with Server(statuses=(500, 503, 200, 500, 302, 500)) as server:
        add_rule(hub, f"SELECT * FROM '{device.login.topic('event')}'", server.action())
        device.publish({"n": 1})
        tally(hub, done=1, failed=0)
        device.publish({"n": 2})
        assert tally(hub, done=1, failed=1)["last_error"] == "status 500"
        sent = [server.posts.get(timeout=TIMEOUT_S)[1]["payload"]["n"] for _ in range(6)]
        assert sent == [1, 1, 1, 2, 2, 2]
    device.publish({"n": 3})
    assert "Connect call failed" in tally(hub, failed=2)["last_error"]


def test_too_much_that_waits_is_dropped_and_counted(hub, no_rules, monkeypatch):
    monkeypatch.setattr(forwarding, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(forwarding, "RETRY_AFTER_S", (0.01, 0.01))
    device = Device(hub)
    with Server() as server:
        add_rule(hub, f"SELECT * FROM '{device.login.topic('event')}'", server.action())
    # The server is gone: some wait, the rest is dropped at once, and the hub serves on.
    for number in range(1100):
        topic = device.login.topic("event")
        device.client.send(publish_bytes(topic, b'{"n": %d}' % number))
    device.publish({"last": True})
    tally(hub, matched=1101, done=0, failed=1101)


def test_a_server_that_does_not_expect_the_hub_gets_no_rule(hub, no_rules):
    with Server(TOKEN, echo=False) as server:
        status, answer = hub.request(
            "POST",
            "/rules",
            {"name": "r2", "sql": "SELECT * FROM 'a'", "actions": [server.action()]},
        )
        assert (status, answer["error"]["code"]) == (400, "unreachable")
        assert "Echostr" in answer["error"]["message"]
        assert hub.request("GET", "/rules/r2")[0] == 404
        # Without a token it only has to answer.
        server.token = ""
        add_rule(hub, "SELECT * FROM 'a'", server.action())


# The vendor's cloud client.


def payload(sql: str, *actions: dict[str, Any], disabled: bool = False) -> dict[str, Any]:
    return {
        "Sql": base64.b64encode(sql.encode()).decode(),
        "Actions": json.dumps(list(actions)),
        "Description": "of the test",
        "RuleDisabled": disabled,
    }


@pytest.mark.parametrize("version", ["v20180614", "v20210408"])
def test_the_cloud_client_works_rules(hub, no_rules, version):
    cloud = CloudClient(hub, version)
    sender, target = Device(hub), Device(hub)
    made = payload(
        f"SELECT * FROM '{sender.login.topic('event')}'", republish(target.login.topic("control"))
    )
    cloud.call("CreateTopicRule", RuleName="r1", TopicRulePayload=made)
    sender.publish({"a": 1})
    assert json.loads(target.client.message().payload) == {"a": 1}
    assert cloud.refusal("CreateTopicRule", RuleName="r1", TopicRulePayload=made) == (
        "InvalidParameterValue.TopicRuleAlreadyExist"
    )
    assert cloud.refusal("EnableTopicRule", RuleName="r1") == "FailedOperation.RuleAlreadyEnabled"
    cloud.call("DisableTopicRule", RuleName="r1")
    assert cloud.refusal("DisableTopicRule", RuleName="r1") == (
        "FailedOperation.RuleAlreadyDisabled"
    )
    sender.publish({"a": 2})
    other = payload(
        f"SELECT a AS b FROM '{sender.login.topic('event')}'",
        republish(target.login.topic("control")),
    )
    cloud.call("ReplaceTopicRule", RuleName="r1", TopicRulePayload=other)
    sender.publish({"a": 3})
    assert json.loads(target.client.message().payload) == {"b": 3}
    cloud.call("DisableTopicRule", RuleName="r1")
    cloud.call("EnableTopicRule", RuleName="r1")
    if version == "v20210408":
        (listed,) = cloud.call("ListTopicRules", PageNum=1, PageSize=10)["Rules"]
        assert listed["RuleName"] == "r1" and listed["RuleDisabled"] is False
        assert listed["TopicPattern"] == sender.login.topic("event")
        assert cloud.call("ListTopicRules", PageNum=2, PageSize=10)["Rules"] == []
    cloud.call("DeleteTopicRule", RuleName="r1")
    assert cloud.refusal("DeleteTopicRule", RuleName="r1") == (
        "ResourceNotFound.TopicRuleNotExist"
    )


NOWHERE = {"forward": {"api": "http://127.0.0.1:9/"}}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Sql": "%%"}, "InvalidParameterValue.InvalidSQL"),
        ({"Sql": base64.b64encode(b"SELECT").decode()}, "InvalidParameterValue.InvalidSQL"),
        ({"Sql": ""}, "InvalidParameterValue.TopicRuleSqlNotEdited"),
        ({"Actions": "[]"}, "InvalidParameterValue.ActionNil"),
        ({"Actions": "{"}, "InvalidParameterValue.InvalidJSON"),
        ({"Actions": '[{"ckafka": {}}]'}, "InvalidParameterValue"),
        (
            {"Actions": json.dumps([republish("a/+/b")])},
            "InvalidParameterValue.RepublishTopicFormatError",
        ),
        (
            {"Actions": json.dumps([republish("$rrpc/rxd/a/b/c")])},
            "InvalidParameterValue.RepublishTopicFormatError",
        ),
        ({"Actions": json.dumps([NOWHERE])}, "InvalidParameterValue.CheckForwardURLFail"),
        ({"Actions": '[{"forward": {"api": "ftp://a"}}]'}, "InvalidParameterValue"),
        ({"Actions": json.dumps([republish("a/b/c")] * 6)}, "InvalidParameterValue"),
    ],
    ids=lambda value: str(value)[:50].replace("/", "_"),
)
def test_a_rule_that_makes_no_sense(cloud, no_rules, changes, code):
    made = payload("SELECT * FROM 'a'", republish("a/b/control")) | changes
    assert cloud.refusal("CreateTopicRule", RuleName="r1", TopicRulePayload=made) == code
    assert cloud.call("ListTopicRules", PageNum=1, PageSize=10)["TotalCnt"] == 0


def test_a_hundred_rules(cloud, no_rules):
    made = payload("SELECT * FROM 'a'", republish("a/b/control"))
    for number in range(100):
        cloud.call("CreateTopicRule", RuleName=f"r{number}", TopicRulePayload=made)
    assert cloud.refusal("CreateTopicRule", RuleName="more", TopicRulePayload=made) == (
        "InvalidParameterValue.RuleNumberBeyondLimit"
    )


# Trials.


def test_a_rule_is_tried_without_being_used(hub, no_rules):
    add_rule(
        hub,
        "SELECT t AS reading FROM 'PRODUCTID1/+/event' WHERE t > 30",
        republish("${productId}/alarm-${reading}/control"),
    )
    trial = {"name": "r1", "topic": "PRODUCTID1/dev01/event"}
    tried = hub.call("POST", "/rule-trial", **trial, payload='{"t": 31}')
    assert tried["matches"] and tried["passes"]
    assert json.loads(tried["payload"]) == {"reading": 31}
    assert tried["destinations"] == ["PRODUCTID1/alarm-31/control"]
    assert not hub.call("POST", "/rule-trial", **trial, payload='{"t": 30}')["passes"]
    other = trial | {"topic": "PRODUCTID2/dev01/event"}
    assert not hub.call("POST", "/rule-trial", **other, payload='{"t": 31}')["matches"]
    status, answer = hub.request("POST", "/rule-trial", {"sql": "SELECT", "topic": "a/b"})
    assert (status, answer["error"]["code"]) == (400, "sql")
    assert tally(hub)["matched"] == 0


# Commands.


def command(hub: HubServer, capsys, *arguments: str) -> tuple[int, str, str]:
    """Status, output and errors of a hub command."""
    status = hub_command([*arguments, "--api-port", str(hub.api_port)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_rules_by_command(hub, no_rules, capsys, tmp_path):
    sender, target = Device(hub), Device(hub)
    token = tmp_path / "token.txt"
    token.write_text(TOKEN + "\n")
    sql = f"SELECT t AS reading FROM '{sender.login.topic('event')}' WHERE t < 18"
    with Server(TOKEN) as server:
        status, _, _ = command(
            *(hub, capsys, "rule", "add", "cold", sql),
            *("--republish", target.login.topic("control")),
            *("--forward", server.url, "--token-file", str(token)),
        )
        assert status == 0
        sender.publish({"t": 17})
        assert json.loads(target.client.message().payload) == {"reading": 17}
        headers, _ = server.posts.get(timeout=TIMEOUT_S)
        assert headers["Signature"] == sign(TOKEN, headers["Timestamp"], headers["Nonce"])
        tally(hub, "cold", done=2)
        _, listed, _ = command(hub, capsys, "rule", "list")
        assert listed.splitlines()[1].split()[:2] == ["cold", "True"]
        _, shown, _ = command(hub, capsys, "rule", "show", "cold", "--json")
        assert json.loads(shown)["done"] == 2 and TOKEN not in shown
    trial = ("rule", "test", "--name", "cold", sender.login.topic("event"))
    _, tried, _ = command(hub, capsys, *trial, '{"t": 17}')
    assert tried.splitlines()[:2] == ['{"reading": 17}', f"-> {target.login.topic('control')}"]
    assert "does not hold" in command(hub, capsys, *trial, '{"t": 18}')[1]
    assert "does not match" in command(hub, capsys, *trial[:-1], "PRODUCTID9/a/event", "{}")[1]
    assert command(hub, capsys, "rule", "disable", "cold")[0] == 0
    # The server is gone.
    status, _, said = command(hub, capsys, "rule", "enable", "cold")
    assert status == 1 and server.url in said
    assert command(hub, capsys, "rule", "remove", "cold")[0] == 0
    status, _, said = command(hub, capsys, "rule", "show", "cold")
    assert (status, "no rule cold" in said) == (1, True)
    status, _, said = command(hub, capsys, "rule", "add", "bad", "SELECT", "--republish", "a/b/c")
    assert status == 1 and "ends too early" in said
    assert command(hub, capsys, "rule", "add", "none", "SELECT * FROM 'a'")[0] == 1


def test_a_bug_in_a_rule_is_the_hubs_own_affair(hub, no_rules, monkeypatch, caplog):
    device = Device(hub)
    add_rule(hub, f"SELECT upper(a) FROM '{device.login.topic('event')}'", republish("a/b/c"))

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    rule = hub.hub.rules.book.rule("r1")
    monkeypatch.setattr(rule.statement.__class__, "apply", fail)
    device.publish({"a": "b"})
    assert tally(hub, failed=1)["last_error"].startswith("the hub failed")
    device.publish({"a": "b"})
