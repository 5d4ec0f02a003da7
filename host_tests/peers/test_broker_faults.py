"""Each fault the hub offers, as a device meets it on the wire."""

import json
import time

import pytest

from host_tests.peers.broker_client import (
    PINGREQ_BYTES,
    PINGRESP,
    PUBACK,
    RawClient,
    publish_bytes,
)
from host_tests.peers.broker_servers import HubServer

TIME_REQUEST = b'{"type":"get","resource":["time"]}'


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = HubServer(tmp_path_factory.mktemp("hub") / "hub.db", stored_interval_ms=5)
    yield server
    server.stop()


@pytest.fixture
def login(hub):
    yield hub.new_device()
    assert hub.call("GET", "/faults")["faults"] == [], "the fault did not strike as often as armed"


@pytest.fixture
def client(hub, login):
    with RawClient(hub.port) as connected:
        connected.connect(login, clean=False)
        connected.subscribe((login.topic("control"), 1))
        yield connected


@pytest.mark.parametrize("connack", [1, 2, 3, 4, 5, 99])
def test_connack(hub, login, connack):
    hub.arm("connack", login, code=connack)
    for expected in (connack, 0):
        with RawClient(hub.port) as client:
            assert client.connect(login)[0] == expected


def test_connack_for_all_devices(hub, login):
    hub.arm("connack", count=2)
    for expected in (3, 3, 0):
        with RawClient(hub.port) as client:
            assert client.connect(login)[0] == expected


def test_a_fault_strikes_only_its_device(hub, login, client):
    other = hub.new_device()
    hub.arm("puback_withhold", login)
    with RawClient(hub.port) as bystander:
        bystander.connect(other)
        bystander.publish(other.topic("event"), b"x")
    client.send(publish_bytes(login.topic("event"), b"x", 1, 1))
    assert client.is_open()


def test_forget_session(hub, login, client):
    client.disconnect()
    hub.arm("forget_session", login)
    for present in (False, True):
        with RawClient(hub.port) as again:
            assert again.connect(login, clean=False) == (0, present)


def test_drop_at_packet(hub, login, client):
    hub.arm("drop_at_packet", login)
    client.send(publish_bytes(login.topic("event"), b"lost", 1, 1))
    assert client.wait_closed()
    messages = hub.call("GET", f"/messages?topic={login.topic('event')}")["messages"]
    assert messages == []


@pytest.mark.parametrize("count", [0, 1, 20, 47])
def test_drop_after_bytes(hub, login, client, count):
    one = publish_bytes(login.topic("event"), b"x", 1, 1)
    hub.arm("drop_after_bytes", login, bytes=count)
    client.send(one * 3)
    assert client.wait_closed()
    messages = hub.call("GET", f"/messages?topic={login.topic('event')}")["messages"]
    assert len(messages) == count // len(one)


def test_blackhole(hub, login, client):
    hub.arm("blackhole", login, duration_ms=700)
    client.send(PINGREQ_BYTES)
    hub.send(login.topic("control"), b"swallowed", 0)
    with pytest.raises(TimeoutError):
        client.read_packet(timeout_s=0.4)
    assert client.wait_closed(timeout_s=2)


def test_blackhole_ends_with_a_takeover(hub, login, client):
    hub.arm("blackhole", login)
    with RawClient(hub.port) as again:
        assert again.connect(login, clean=False) == (0, True)
        assert again.is_open()
        assert client.wait_closed(timeout_s=2)


def test_blackhole_does_not_delay_the_hubs_end(tmp_path):
    server = HubServer(tmp_path / "hub.db")
    login = server.new_device()
    with RawClient(server.port) as client:
        client.connect(login)
        server.arm("blackhole", login)
        client.send(PINGREQ_BYTES)
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 2


def test_delay_keeps_the_order(hub, login, client):
    hub.arm("delay", login, delay_ms=300)
    started = time.monotonic()
    client.send(PINGREQ_BYTES)
    time.sleep(0.05)
    client.send(publish_bytes(login.topic("event"), b"x", 1, 1))
    kinds = [client.read_packet().kind for _ in range(2)]
    assert kinds == [PINGRESP, PUBACK]
    assert 0.25 < time.monotonic() - started < 1


def test_puback_withhold(hub, login, client):
    hub.arm("puback_withhold", login)
    client.send(publish_bytes(login.topic("event"), b"x", 1, 1))
    client.publish(login.topic("event"), b"y", packet_id=2)


def test_puback_late(hub, login, client):
    hub.arm("puback_late", login, delay_ms=200)
    client.send(publish_bytes(login.topic("event"), b"x", 1, 1))
    client.publish(login.topic("event"), b"y", packet_id=2)
    assert client.expect(PUBACK) == b"\0\1"


def test_puback_duplicate(hub, login, client):
    hub.arm("puback_duplicate", login)
    client.publish(login.topic("event"), b"x", packet_id=7)
    assert client.expect(PUBACK) == b"\0\7"


def test_puback_wrong_id(hub, login, client):
    hub.arm("puback_wrong_id", login)
    client.send(publish_bytes(login.topic("event"), b"x", 1, 7))
    assert client.expect(PUBACK) == b"\0\x08"


def test_suback_failure(hub, login, client):
    hub.arm("suback_failure", login)
    filters = ((login.topic("control"), 1), (login.topic("data"), 0))
    assert client.subscribe(*filters) == [0x80, 0x80]
    assert client.subscribe(*filters) == [1, 0]


@pytest.mark.parametrize("qos", [0, 1])
def test_duplicate_publish(hub, login, client, qos):
    hub.arm("duplicate_publish", login)
    hub.send(login.topic("control"), b"twice", qos)
    found = [client.message() for _ in range(2)]
    assert [(each.payload, each.dup) for each in found] == [
        (b"twice", False),
        (b"twice", qos == 1),
    ]
    assert found[0].packet_id == found[1].packet_id


def test_oversize_publish_strikes_at_once(hub, login, client):
    hub.arm("oversize_publish", login, payload_bytes=20_000)
    assert len(client.message().payload) == 20_000
    assert client.is_open()


@pytest.fixture
def ask_time(hub, login, client):
    path = "/".join(login[:2])
    client.subscribe((f"$sys/operation/result/{path}", 0))

    def ask() -> bytes:
        client.send(publish_bytes(f"$sys/operation/{path}", TIME_REQUEST))
        return client.message().payload

    return ask


def test_time_wrong(hub, login, ask_time):
    hub.arm("time_wrong", login, offset_ms=-86_400_000)
    wrong, right = json.loads(ask_time()), json.loads(ask_time())
    assert 86_399_000 < right["ntptime1"] - wrong["ntptime1"] < 86_401_000
    assert wrong["time"] == wrong["ntptime2"] // 1000


def test_time_late(hub, login, ask_time):
    hub.arm("time_late", login, delay_ms=300)
    started = time.monotonic()
    answer = json.loads(ask_time())
    assert time.monotonic() - started > 0.25
    assert answer["ntptime2"] - answer["ntptime1"] < 100, "stamped when it was made"


@pytest.mark.parametrize("parameters", [{}, {"payload": "no JSON"}])
def test_time_absurd(hub, login, ask_time, parameters):
    hub.arm("time_absurd", login, **parameters)
    answer = ask_time()
    assert answer == b"no JSON" if parameters else json.loads(answer)["time"] == -1


def test_faults_can_be_listed_and_cleared(hub, login):
    hub.arm("delay", login, count=None)
    (fault,) = hub.call("GET", "/faults")["faults"]
    assert (fault["kind"], fault["count"]) == ("delay", None)
    hub.call("DELETE", "/faults")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "nothing"}, 400),
        ({"kind": "delay", "count": 0}, 400),
        ({"kind": "delay", "parameters": []}, 400),
        ({"kind": "delay", "device": "no path"}, 400),
        ({"kind": "delay", "device": "PRODUCTID1/nobody"}, 404),
        ({}, 400),
    ],
)
def test_faults_that_cannot_be_armed(hub, body, status):
    assert hub.request("POST", "/faults", body)[0] == status
