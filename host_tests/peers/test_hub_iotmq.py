"""IoT MQ on the hub: created topics with their bounds; and what else is MQTT 3.1.1's, judged by
mosquitto under the same test.
"""

import json
import queue
import socket
import time

import paho.mqtt.client as paho
import pytest

from host_tests.conftest import requires
from host_tests.peers.broker_client import (
    PINGREQ_BYTES,
    PUBLISH,
    PUBREC,
    Login,
    RawClient,
    connect_bytes,
    field,
    packet,
    publish_bytes,
)
from host_tests.peers.broker_iotmq import IotMqServer, iotmq_password
from host_tests.peers.broker_servers import MosquittoServer
from host_tests.peers.test_broker_process import Process, start

PUBCOMP = 7
DAY_S = 24 * 3600
# Also a fixture, of the tests of the hub as a process.
assert start


@pytest.fixture(scope="module")
def iotmq(tmp_path_factory):
    server = IotMqServer(tmp_path_factory.mktemp("iotmq") / "hub.db")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def mosquitto(tmp_path_factory):
    server = MosquittoServer(tmp_path_factory.mktemp("mosquitto"))
    yield server
    server.stop()


@pytest.fixture(params=["iotmq", pytest.param("mosquitto", marks=requires("mosquitto"))])
def server(request):
    return request.getfixturevalue(request.param)


# The standard, on both.


def test_messages_go_from_client_to_client(server):
    sender, one, two = (server.new_device() for _ in range(3))
    topic = sender.topic("data")
    with server.client(one) as first, server.client(two) as second:
        for client, login, qos in ((first, one, 1), (second, two, 0)):
            client.connect(login)
            assert client.subscribe((topic, qos)) == [qos]
        with server.client(sender) as client:
            client.connect(sender)
            client.publish(topic, b"to both")
        assert [client.message()[:3] for client in (first, second)] == [
            (topic, b"to both", 1),
            (topic, b"to both", 0),
        ]


def test_a_wildcard_stays_a_filter(server):
    """Subscribed and unsubscribed by its text; and it matches what comes later."""
    login = server.new_device()
    topic = login.topic("data")
    with server.client(login) as client:
        client.connect(login)
        assert client.subscribe((f"{login.product_id}/+/data", 1)) == [1]
        client.unsubscribe(login.topic("#"))
        server.send(topic, b"1", 1)
        assert client.message().payload == b"1"
        client.unsubscribe(f"{login.product_id}/+/data")
        server.send(topic, b"2", 1)
        assert client.messages() == []


def retained(client: RawClient) -> tuple[bytes, int, int]:
    """Payload, QoS and retain flag of the next message."""
    received = client.read_packet()
    assert received.kind == PUBLISH
    length = int.from_bytes(received.body[:2], "big")
    qos = received.flags >> 1 & 3
    end = 2 + length + (2 if qos else 0)
    if qos:
        client.send(packet(0x40, received.body[2 + length : end]))
    return received.body[end:], qos, received.flags & 1


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_retained_message_awaits_subscribers(server, qos):
    login, early, late = (server.new_device() for _ in range(3))
    topic = login.topic("data")
    with server.client(login) as client, server.client(early) as subscriber:
        subscriber.connect(early)
        subscriber.subscribe((topic, 1))
        client.connect(login)
        for payload in (b"old", b"new"):
            client.send(publish_bytes(topic, payload, qos, 7, retain=True))
            if qos == 1:
                assert client.expect(4) == b"\0\x07"
            elif qos == 2:
                exactly_once(client, 7)
            # To one who was subscribed before, it is no retained message.
            assert retained(subscriber) == (payload, min(qos, 1), 0)
    with server.client(late) as subscriber:
        subscriber.connect(late)
        for filters in (topic, f"{login.product_id}/#"):
            subscriber.subscribe((filters, 1))
            assert retained(subscriber) == (b"new", min(qos, 1), 1)


def test_a_retained_message_is_removed_by_an_empty_one(server):
    login = server.new_device()
    topic = login.topic("data")
    with server.client(login) as client:
        client.connect(login)
        client.send(publish_bytes(topic, b"kept", retain=True))
        client.send(publish_bytes(topic, b"", retain=True))
        client.subscribe((topic, 1))
        assert client.messages() == []


def test_a_retained_message_survives_a_restart(server):
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.send(publish_bytes(login.topic("data"), b"kept", 1, 1, retain=True))
        assert client.read_packet().kind == 4
        client.disconnect()
    server.restart()
    with server.client(login) as client:
        client.connect(login)
        client.subscribe((login.topic("data"), 1))
        assert retained(client) == (b"kept", 1, 1)


def test_an_unacknowledged_retained_message_comes_again_as_one(server):
    login = server.new_device()
    topic = login.topic("data")
    with server.client(login) as client:
        client.connect(login, clean=False)
        client.send(publish_bytes(topic, b"kept", 1, 1, retain=True))
        client.read_packet()
        client.subscribe((topic, 1))
        assert client.read_packet().flags & 1 == 1
    with server.client(login) as client:
        client.connect(login, clean=False)
        again = client.read_packet()
        assert (again.flags & 1, again.flags & 8) == (1, 8)


def exactly_once(client: RawClient, packet_id: int) -> None:
    """The rest of a QoS 2 publish."""
    number = packet_id.to_bytes(2, "big")
    assert client.expect(PUBREC) == number
    client.send(packet(0x62, number))
    assert client.expect(PUBCOMP) == number


def test_qos_2_is_received_once(server):
    login, receiver = server.new_device(), server.new_device()
    topic = login.topic("data")
    with server.client(receiver) as subscriber, server.client(login) as client:
        subscriber.connect(receiver)
        subscriber.subscribe((topic, 1))
        client.connect(login)
        client.send(publish_bytes(topic, b"once", 2, 9))
        assert client.expect(PUBREC) == b"\0\x09"
        client.send(publish_bytes(topic, b"once", 2, 9, dup=True))
        exactly_once(client, 9)
        client.send(publish_bytes(topic, b"next", 2, 9))
        exactly_once(client, 9)
        assert [each.payload for each in subscriber.messages()] == [b"once", b"next"]


def test_qos_2_is_received_once_over_a_reconnect(server):
    login, receiver = server.new_device(), server.new_device()
    topic = login.topic("data")
    with server.client(receiver) as subscriber:
        subscriber.connect(receiver)
        subscriber.subscribe((topic, 1))
        with server.client(login) as client:
            client.connect(login, clean=False)
            client.send(publish_bytes(topic, b"once", 2, 9))
            assert client.expect(PUBREC) == b"\0\x09"
        with server.client(login) as client:
            assert client.connect(login, clean=False) == (0, True)
            client.send(publish_bytes(topic, b"once", 2, 9, dup=True))
            exactly_once(client, 9)
        assert [each.payload for each in subscriber.messages()] == [b"once"]


def with_will(login: Login, topic: str, qos: int = 1, retain: bool = False) -> bytes:
    flags = 0x02 | 0x04 | qos << 3 | retain << 5
    body = field("MQTT") + b"\x04" + b"%c" % (flags | (0xC0 if login.user_name else 0))
    body += b"\0\x02" + field(login.client_id) + field(topic) + field(b"gone")
    for text in (login.user_name, login.password):
        body += field(text) if text else b""
    return packet(0x10, body)


@pytest.mark.parametrize("end", ["cut", "violation", "silence", "takeover", "disconnect"])
def test_a_will_is_published_but_for_a_disconnect(server, end):
    login, receiver = server.new_device(), server.new_device()
    topic = login.topic("event")
    with server.client(receiver) as subscriber:
        subscriber.connect(receiver)
        subscriber.subscribe((topic, 1))
        client, other = server.client(login), server.client(login)
        client.send(with_will(login, topic))
        assert client.expect(2) == b"\0\0"
        if end == "cut":
            client.__exit__()
        elif end == "violation":
            client.send(b"\x00\x00")
        elif end == "takeover":
            other.connect(login)
        elif end == "disconnect":
            client.disconnect()
        found = []
        if end != "disconnect":
            # Mosquitto looks for the silent every few seconds.
            found.append(subscriber.message(timeout_s=12).payload)
        found += [each.payload for each in subscriber.messages()]
        assert found == ([] if end == "disconnect" else [b"gone"])
        client.__exit__()
        other.__exit__()


def test_a_retained_will(server):
    login, receiver = server.new_device(), server.new_device()
    with server.client(login) as client:
        client.send(with_will(login, login.topic("event"), retain=True))
        assert client.expect(2) == b"\0\0"
    time.sleep(0.2)
    with server.client(receiver) as subscriber:
        subscriber.connect(receiver)
        subscriber.subscribe((login.topic("event"), 1))
        assert retained(subscriber) == (b"gone", 1, 1)


# What is IoT MQ's own.


def reasons(iotmq: IotMqServer, login: Login, kind: str = "drop") -> list[str]:
    return [event["reason"] for event in iotmq.events(login.client_id, kind)]


def test_an_unknown_topic_is_refused(iotmq):
    login = iotmq.new_device()
    with iotmq.client(login) as client:
        client.connect(login)
        assert client.subscribe(("unknown", 1), ("unknown/#", 1), (login.topic("data"), 1)) == [
            *(128, 128, 1),
        ]
        client.publish("unknown", b"x")
        client.send(publish_bytes("unknown", b"x", 2, 5))
        exactly_once(client, 5)
        assert client.is_open()
    assert reasons(iotmq, login) == ["the instance has no such topic"] * 2


def test_a_topic_has_a_maximum_size(iotmq):
    login = iotmq.new_device()
    topic = login.topic("small")
    iotmq.add_topic(topic, max_bytes=10)
    with iotmq.client(login) as client:
        client.connect(login)
        client.subscribe((topic, 0))
        client.publish(topic, b"x" * 11, packet_id=1)
        client.send(publish_bytes(topic, b"x" * 10))
        assert client.message().payload == b"x" * 10
    assert reasons(iotmq, login) == ["a message on this topic is at most 10 bytes long"]


def test_the_greatest_message_passes_and_no_greater_packet(iotmq):
    login = iotmq.new_device()
    topic = login.topic("x" * (128 - len(login.topic(""))))
    iotmq.add_topic(topic, max_bytes=65536)
    with iotmq.client(login) as client:
        client.connect(login)
        client.subscribe((topic, 1))
        client.send(publish_bytes(topic, bytes(65536)))
        assert len(client.message().payload) == 65536
        client.send(publish_bytes(topic, bytes(65560)))
        assert client.wait_closed()


def test_a_message_lasts_as_long_as_its_topic_says(iotmq):
    login = iotmq.new_device()
    short, long = login.topic("short"), login.topic("long")
    iotmq.add_topic(short, life_time_s=60)
    iotmq.add_topic(long, life_time_s=2 * DAY_S)
    with iotmq.client(login) as client:
        client.connect(login, clean=False)
        client.subscribe((short, 1), (long, 1))
        client.disconnect()
    for topic in (short, long):
        iotmq.send(topic, topic[-5:].encode(), 1)
    try:
        iotmq.hub.call("POST", "/clock", offset_s=59)
        with iotmq.client(login) as client:
            client.connect(login, clean=False)
            found = [client.message(acknowledge=False).payload for _ in range(2)]
            assert found == [b"short", b"/long"]
        iotmq.hub.call("POST", "/clock", offset_s=61)
        with iotmq.client(login) as client:
            client.connect(login, clean=False)
            assert [each.payload for each in client.messages()] == [b"/long"]
    finally:
        iotmq.hub.call("POST", "/clock", offset_s=0)
    assert reasons(iotmq, login) == ["stored for longer than the hub keeps messages"]


def test_a_retained_message_lasts_as_long_as_its_topic_says(iotmq):
    login = iotmq.new_device()
    topic = login.topic("short")
    iotmq.add_topic(topic, life_time_s=60)
    with iotmq.client(login) as client:
        client.connect(login)
        client.send(publish_bytes(topic, b"kept", 1, 1, retain=True))
        client.read_packet()
        client.subscribe((topic, 1))
        assert retained(client)[0] == b"kept"
        try:
            iotmq.hub.call("POST", "/clock", offset_s=61)
            client.subscribe((topic, 1))
            assert client.messages() == []
        finally:
            iotmq.hub.call("POST", "/clock", offset_s=0)


def test_a_will_on_an_unknown_topic_is_dropped(iotmq):
    login = iotmq.new_device()
    with iotmq.client(login) as client:
        client.send(with_will(login, "unknown"))
        assert client.expect(2) == b"\0\0"
    deadline = time.monotonic() + 5
    while not reasons(iotmq, login):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert reasons(iotmq, login) == ["will: the instance has no such topic"]


def test_logins(iotmq):
    good = iotmq.new_device()
    for login, expected in (
        (good, 0),
        (good._replace(password="wrong"), 4),
        (good._replace(user_name="AKIDanother"), 4),
        (good._replace(user_name=None, password=None), 4),
    ):
        with iotmq.client(login) as client:
            assert client.connect(login)[0] == expected
    assert len(reasons(iotmq, good, "refused")) == 3
    everything = json.dumps(iotmq.hub.call("GET", "/events")["events"])
    assert iotmq.instance["secret_key"] not in everything and iotmq.password not in everything


def test_a_devices_login_is_none_here_and_the_other_way_round(iotmq):
    device = iotmq.hub.new_device()
    with RawClient(iotmq.port) as client:
        assert client.connect(device)[0] == 4
    with RawClient(iotmq.hub.port) as client:
        assert client.connect(iotmq.new_device())[0] == 2


def test_instances_are_apart(iotmq):
    first = iotmq.new_device()
    other = iotmq.hub.call("POST", "/iotmq")
    iotmq.hub.call("POST", f"/iotmq/{other['instance_id']}/topics", topic=first.topic("data"))
    names = ("app_id", "instance_id", "secret_key")
    password = iotmq_password(*(other[name] for name in names))
    second = first._replace(user_name=other["secret_id"], password=password)
    with RawClient(other["port"]) as there, iotmq.client(first) as here:
        assert there.connect(second) == (0, False)
        assert here.connect(first) == (0, False)
        for client in (there, here):
            client.subscribe((first.topic("data"), 1))
        here.send(publish_bytes(first.topic("data"), b"only here"))
        assert here.message().payload == b"only here"
        assert there.messages() == []
        with RawClient(other["port"]) as client:
            assert client.connect(first)[0] == 4


def test_paho_talks_both_ways(iotmq):
    login = iotmq.new_device()
    messages: queue.Queue = queue.Queue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=login.client_id)
    client.username_pw_set(login.user_name, login.password)

    def publish_all(*_: object) -> None:
        for number in range(30):
            client.publish(login.topic("data"), b"%d" % number, number % 3)

    def subscribe(*_: object) -> None:
        client.subscribe(login.topic("data"), 1)

    client.on_connect, client.on_subscribe = subscribe, publish_all
    client.on_message = lambda _client, _data, message: messages.put(int(message.payload))
    client.connect("127.0.0.1", iotmq.port)
    client.loop_start()
    try:
        assert sorted(messages.get(timeout=10) for _ in range(30)) == list(range(30))
    finally:
        client.disconnect()
        client.loop_stop()


def test_what_is_no_mqtt_is_closed_with_an_event(iotmq):
    with RawClient(iotmq.port) as client:
        client.send(PINGREQ_BYTES)
        assert client.wait_closed()


# The API and the commands.


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/iotmq", {"port": 70000}, 400),
        ("/iotmq", {"port": "1883"}, 400),
        ("/iotmq", {"app_id": "letters"}, 400),
        ("/iotmq", {"secret_key": "short"}, 400),
        ("/iotmq/mqtt-nosuch/topics", {"topic": "a"}, 404),
        ("TOPICS", {"topic": "a/#"}, 400),
        ("TOPICS", {"topic": "a", "life_time_s": 0}, 400),
        ("TOPICS", {"topic": "a", "max_bytes": 1 << 20}, 400),
        ("TOPICS", {}, 400),
    ],
)
def test_errors(iotmq, path, body, status):
    path = iotmq.path("/topics") if path == "TOPICS" else path
    answer = iotmq.hub.request("POST", path, body)
    assert answer[0] == status and answer[1]["error"]["message"]


def test_a_port_in_use_creates_no_instance(iotmq):
    before = iotmq.hub.call("GET", "/iotmq")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, answer = iotmq.hub.request("POST", "/iotmq", {"port": taken.getsockname()[1]})
    assert status == 409 and "IoT MQ cannot listen" in answer["error"]["message"]
    assert iotmq.hub.call("GET", "/iotmq") == before


def test_the_secret_key_is_shown_once(iotmq):
    listed = json.dumps(iotmq.hub.call("GET", "/iotmq"))
    assert iotmq.instance["instance_id"] in listed
    assert iotmq.instance["secret_key"] not in listed


def test_commands(start):
    hub: Process = start("--no-sample", "--quiet")
    created = hub.json("iotmq", "add", "--app-id", "1251762227")
    instance = created["instance_id"]
    added = ("iotmq", "topic", "add", instance, "room/1", "--life-time-s", 60, "--max-bytes", 5)
    assert hub.json(*added) == [{"topic": "room/1", "life_time_s": 60, "max_bytes": 5}]
    assert hub.json("iotmq", "topic", "list", instance) == hub.json(*added[:2], "list", instance)
    (listed,) = hub.json("iotmq", "list")
    assert (listed["port"], listed["topics"]) == (created["port"], 1)
    password = iotmq_password("1251762227", instance, created["secret_key"])
    login = Login("any client", "", created["secret_id"], password)
    for command in (("iotmq", "list"), ("iotmq", "topic", "list", instance)):
        assert created["secret_key"] not in hub.run(*command).stdout
    with RawClient(created["port"]) as client:
        client.send(connect_bytes(login))
        assert client.expect(2) == b"\0\0"
        assert client.subscribe(("room/+", 1)) == [1]
        client.send(publish_bytes("room/1", b"12345"))
        assert client.message().payload == b"12345"
