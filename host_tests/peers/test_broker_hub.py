"""What only the hub does: signed logins, permissions, services, limits and its clock."""

import asyncio
import json
import socket
import time
from itertools import pairwise

import pytest

from host_tests.peers.broker_client import (
    CONNACK,
    PINGREQ_BYTES,
    Login,
    RawClient,
    connect_bytes,
    publish_bytes,
)
from host_tests.peers.broker_servers import HubServer, signed_login
from tools.hub import Hub, HubConfig
from tools.hub.config import LOOPBACK
from tools.hub.transport.listener import ListenError

DAY_S = 24 * 3600


@pytest.fixture
def hub(tmp_path):
    server = HubServer(tmp_path / "hub.db", stored_interval_ms=5)
    yield server
    server.stop()


def code(hub: HubServer, login: Login, **options) -> int:
    with RawClient(hub.port) as client:
        result, present = client.connect(login, **options)
        assert not (result and present), "session present is 0 with a refusal"
        if result:
            assert client.wait_closed()
        return result


def reasons(hub: HubServer, login: Login, kind: str) -> list[str]:
    return [event["reason"] for event in hub.events(login, kind)]


# Logins.


def test_refusals_say_why_in_the_record_and_nothing_more_on_the_wire(hub):
    good = hub.new_device()
    forged = good._replace(password="0" * 64 + ";hmacsha256")
    assert code(hub, forged) == 4
    assert code(hub, good._replace(password="plain")) == 4
    assert code(hub, good._replace(user_name="plain")) == 4
    assert code(hub, good._replace(user_name=None, password=None)) == 4
    assert code(hub, good._replace(device_name="nobody")) == 5
    assert code(hub, good, client_id="not an identity") == 2
    assert code(hub, good) == 0
    assert reasons(hub, good, "refused") == [
        "wrong signature",
        "password is not hex;hmacsha256 or hex;hmacsha1",
        "user name is not PID+DN;sdkappid;connid;expiry",
        "no user name",
    ]
    (stranger,) = hub.events(good._replace(device_name="nobody"), "refused")
    assert stranger["code"] == 5
    everything = json.dumps(hub.call("GET", "/events")["events"])
    for login in (good, forged):
        assert login.password.split(";")[0] not in everything


def test_expiry_is_judged_by_the_hubs_clock(hub):
    path = f"/products/{hub.product_id}/devices"
    secret = hub.call("POST", path, name="timed")["device_secret"]
    login = signed_login(hub.product_id, "timed", secret, expiry_s=int(time.time()) + 600)
    assert code(hub, login) == 0
    hub.call("POST", "/clock", offset_s=3600)
    assert code(hub, login) == 4
    (reason,) = reasons(hub, login, "refused")
    assert reason.startswith("login expired: expiry ")


def test_unknown_product_is_5(hub):
    assert code(hub, hub.new_device()._replace(product_id="NOSUCHPROD")) == 5


def test_certificate_product_is_refused_without_proof(hub):
    product_id = hub.call("POST", "/products", name="certified", auth="cert")["product_id"]
    created = hub.call("POST", f"/products/{product_id}/devices", name="dev01")
    assert created["device_secret"] is None
    login = signed_login(product_id, "dev01", "lDZ6Uqt+I9E0wW7rvDUs7Q==")
    assert code(hub, login) == 5


def test_disabled_device_is_dropped_refused_and_keeps_its_data(hub):
    login = hub.new_device()
    device = f"/products/{login.product_id}/devices/{login.device_name}"
    with RawClient(hub.port) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("control"), 1))
        assert hub.call("POST", device + "/disable")["enabled"] is False
        assert client.wait_closed(timeout_s=1)
    assert code(hub, login, clean=False) == 5
    hub.send(login.topic("control"), b"kept", 1)
    assert hub.call("POST", device + "/enable")["enabled"] is True
    with RawClient(hub.port) as client:
        assert client.connect(login, clean=False) == (0, True)
        assert client.message().payload == b"kept"
    assert "the device was disabled" in reasons(hub, login, "disconnect")


def test_takeover_is_recorded_in_order(hub):
    login = hub.new_device()
    with RawClient(hub.port) as old, RawClient(hub.port) as new:
        old.connect(login)
        new.connect(login)
        assert old.wait_closed()
        kinds = [event["kind"] for event in hub.events(login)]
        assert kinds == ["registry", "connect", "disconnect", "connect"]
        assert reasons(hub, login, "disconnect")[0].startswith("taken over")


def test_full_hub_answers_unavailable(tmp_path):
    server = HubServer(tmp_path / "hub.db", max_connections=1)
    try:
        first, second = server.new_device(), server.new_device()
        with RawClient(server.port) as client:
            client.connect(first)
            assert code(server, second) == 3
            assert client.is_open()
            with RawClient(server.port) as again:  # in the place of the first
                again.connect(first)
                assert client.wait_closed() and code(server, second) == 3
        deadline = time.monotonic() + 5
        while code(server, second) != 0:
            assert time.monotonic() < deadline
    finally:
        server.stop()


def test_a_hub_that_cannot_start_leaves_no_port_open():
    async def start(port: int) -> None:
        hub = Hub(HubConfig(mqtt_port=port, api_port=0))
        with pytest.raises(ListenError):
            await hub.__aenter__()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((LOOPBACK, hub.api_port), 1)

    with socket.create_server((LOOPBACK, 0)) as taken:
        asyncio.run(start(taken.getsockname()[1]))


def test_connect_has_a_deadline(tmp_path):
    server = HubServer(tmp_path / "hub.db", connect_timeout_s=0.3)
    try:
        login = server.new_device()
        with RawClient(server.port) as silent, RawClient(server.port) as slow:
            slow.send(connect_bytes(login)[:9])
            started = time.monotonic()
            assert silent.wait_closed(2) and slow.wait_closed(2)
            assert 0.2 < time.monotonic() - started < 1.5
        events = server.call("GET", "/events?kind=disconnect")["events"]
        assert [event["reason"] for event in events] == ["no CONNECT within 0.3 s"] * 2
    finally:
        server.stop()


# Topics.


def test_topics_are_the_products_and_change_at_once(hub):
    login = hub.new_device()
    topics = f"/products/{hub.product_id}/topics"
    with RawClient(hub.port) as client:
        client.connect(login)
        assert client.subscribe((login.topic("room/1/heat"), 1)) == [0x80]
        hub.call("POST", topics, topic="room/1/heat", permission="sub")
        assert client.subscribe((login.topic("room/1/heat"), 1)) == [1]
        hub.send(login.topic("room/1/heat"), b"22", 1)
        assert client.message().payload == b"22"
        client.publish(login.topic("room/1/heat"), b"not mine to publish")
        hub.call("DELETE", topics + "?topic=room/1/heat")
        status, answer = hub.request(
            "POST", "/publish", {"topic": login.topic("room/1/heat"), "payload": "x"}
        )
        assert (status, answer["error"]["code"]) == (403, "forbidden")
    (drop,) = hub.events(login, "drop")
    assert (drop["direction"], drop["reason"]) == (
        "in",
        "the product's topic permits subscribe only",
    )


def test_forbidden_publishes_are_acknowledged_and_recorded_as_drops(hub):
    mine, other = hub.new_device(), hub.new_device()
    with RawClient(hub.port) as client:
        client.connect(mine)
        client.publish(other.topic("event"), b"x")
        client.publish(mine.topic("event") + "x" * 64, b"x")
        client.publish("$sys/operation/result/" + "/".join(mine[:2]), b"x")
    assert reasons(hub, mine, "drop") == [
        "a device uses topics under its own PID/DN only",
        "a custom topic is at most 64 bytes long",
        "not a system topic this device may publish to",
    ]
    assert hub.call("GET", "/messages")["messages"] == []


def test_services_to_come_are_acknowledged_and_recorded(hub):
    login = hub.new_device()
    path = "/".join(login[:2])
    with RawClient(hub.port) as client:
        client.connect(login)
        assert client.subscribe((f"$resource/down/service/{path}", 0)) == [0]
        client.publish(f"$resource/up/service/{path}", b'{"type":"create_upload_task"}')
        assert client.is_open()
    (event,) = hub.events(login, "service")
    assert event["action"] == "no such service yet"
    assert event["topic"] == f"$resource/up/service/{path}"


# $sys time.


def test_sys_time_is_the_hubs_clock(hub):
    login = hub.new_device()
    path = "/".join(login[:2])
    with RawClient(hub.port) as client:
        client.connect(login)
        client.subscribe((f"$sys/operation/result/{path}", 0))
        for offset_s in (0, 3600, -86400):
            hub.call("POST", "/clock", offset_s=offset_s)
            before_ms = time.time_ns() // 1_000_000 + offset_s * 1000
            request = b'{"type":"get","resource":["time"]}'
            client.send(publish_bytes(f"$sys/operation/{path}", request))
            message = client.message()
            after_ms = time.time_ns() // 1_000_000 + offset_s * 1000
            answer = json.loads(message.payload)
            assert message.qos == 0 and set(answer) == {"type", "time", "ntptime1", "ntptime2"}
            assert before_ms <= answer["ntptime1"] <= answer["ntptime2"] <= after_ms
            assert answer["time"] == answer["ntptime2"] // 1000


@pytest.mark.parametrize(
    "request_payload",
    [b"", b"[]", b"{", b'{"type":"set"}', b'{"type":"get"}', b"[" * 500, b"x" * 513, b"\xff"],
)
def test_sys_requests_that_are_none_get_no_answer(hub, request_payload):
    login = hub.new_device()
    path = "/".join(login[:2])
    with RawClient(hub.port) as client:
        client.connect(login)
        client.subscribe((f"$sys/operation/result/{path}", 0))
        client.publish(f"$sys/operation/{path}", request_payload)
        assert client.messages(quiet_s=0.1) == []
    (event,) = hub.events(login, "service")
    assert event["action"] == "refused"


# Sessions and limits.


def test_stored_messages_come_at_their_pace_and_later_ones_behind_them(tmp_path):
    server = HubServer(tmp_path / "hub.db", stored_interval_ms=200)
    try:
        login = server.new_device()
        with RawClient(server.port) as client:
            client.connect(login, clean=False)
            client.subscribe((login.topic("control"), 1))
            server.send(login.topic("control"), b"unacknowledged", 1)
            client.message(acknowledge=False)
        for number in range(3):
            server.send(login.topic("control"), b"stored %d" % number, 1)
        with RawClient(server.port) as client:
            client.connect(login, clean=False)
            server.send(login.topic("control"), b"live", 1)
            found = []
            for _ in range(5):
                message = client.message()
                found.append((message.payload, message.dup, time.monotonic()))
        assert [(payload, dup) for payload, dup, _ in found] == [
            (b"unacknowledged", True),
            (b"stored 0", False),
            (b"stored 1", False),
            (b"stored 2", False),
            (b"live", False),
        ]
        gaps = [later[2] - sooner[2] for sooner, later in pairwise(found[1:])]
        assert all(0.15 < gap < 0.5 for gap in gaps), gaps
    finally:
        server.stop()


@pytest.mark.parametrize(("offset_s", "present"), [(DAY_S - 60, True), (DAY_S + 1, False)])
def test_a_session_ends_after_a_day_offline(hub, offset_s, present):
    login = hub.new_device()
    with RawClient(hub.port) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("control"), 1))
        client.disconnect()
    hub.send(login.topic("control"), b"old", 1)
    hub.call("POST", "/clock", offset_s=offset_s)
    with RawClient(hub.port) as client:
        assert client.connect(login, clean=False) == (0, present)
        assert [each.payload for each in client.messages()] == ([b"old"] if present else [])


def test_messages_older_than_a_day_are_given_up(hub):
    login = hub.new_device()
    with RawClient(hub.port) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("control"), 1))
        client.disconnect()
    hub.send(login.topic("control"), b"old", 1)
    hub.call("POST", "/clock", offset_s=DAY_S - 3600)
    with RawClient(hub.port) as client:
        client.connect(login, clean=False)
        assert client.message(acknowledge=False).payload == b"old"
    hub.call("POST", "/clock", offset_s=DAY_S + 3600)
    hub.send(login.topic("control"), b"new", 1)
    with RawClient(hub.port) as client:
        assert client.connect(login, clean=False) == (0, True)
        assert [each.payload for each in client.messages()] == [b"new"]
    assert "stored for longer than the hub keeps messages" in reasons(hub, login, "drop")


def test_the_151st_message_is_dropped_and_recorded(hub):
    login = hub.new_device()
    device = f"/products/{login.product_id}/devices/{login.device_name}"
    with RawClient(hub.port) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("control"), 1))
        for _ in range(10):
            hub.send(login.topic("control"), b"in flight", 1)
        for _ in range(10):
            client.message(acknowledge=False)
    for _ in range(140):
        hub.send(login.topic("control"), b"stored", 1)
    shown = hub.call("GET", device)
    assert (shown["unacknowledged"], shown["stored"], shown["online"]) == (10, 140, False)
    answer = hub.call("POST", "/publish", topic=login.topic("control"), payload="x", qos=1)
    assert answer["outcome"] == "dropped" and answer["reason"].startswith("150 messages")
    assert reasons(hub, login, "drop") == [answer["reason"]]


def test_a_device_that_does_not_read_loses_qos_0_only(tmp_path):
    server = HubServer(tmp_path / "hub.db", max_unsent_bytes=64 * 1024)
    try:
        login = server.new_device()
        with RawClient(server.port) as client:
            client.connect(login)
            client.subscribe((login.topic("control"), 1))
            outcomes = []
            for _ in range(1000):
                answer = server.call(
                    "POST", "/publish", topic=login.topic("control"), payload="x" * 15_000
                )
                outcomes.append(answer["outcome"])
                if answer["outcome"] == "dropped":
                    break
            assert outcomes[-1] == "dropped" and outcomes[0] == "sent"
            assert answer["reason"] == "the device does not read what it is sent"
            server.send(login.topic("control"), b"after", 1)
            received = [client.message() for _ in range(len(outcomes))]
            assert received[-1].payload == b"after"
    finally:
        server.stop()


def test_a_publisher_that_does_not_read_its_acknowledgements_is_held_back(hub):
    login = hub.new_device()
    with RawClient(hub.port) as client:
        client.connect(login)
        total = 20_000
        one = publish_bytes(login.topic("event"), b"x" * 10, 1, 1)
        for _ in range(total // 1000):
            client.send(one * 1000)
        for _ in range(total):
            assert client.read_packet().kind == 4
    assert hub.call("GET", "/messages?limit=10000&after=10000")["messages"][-1]["id"] == total


def test_a_client_that_reads_nothing_is_not_read_without_end(hub):
    """Its answers wait in the hub only up to a bound; it must read to be served."""
    login = hub.new_device()
    with RawClient(hub.port) as client:
        client.connect(login)
        (connection,) = hub.hub.broker.connections
        _shrink_buffers(client, connection)
        pings = PINGREQ_BYTES * 32_768
        with pytest.raises(TimeoutError):
            client.set_timeout(1)
            for _ in range(200):
                client.send_some(pings)
        assert connection.unsent_bytes() < 1 << 20
        assert client.read_bytes(10_000)[:10_000] == b"\xd0\0" * 5_000


def test_a_closed_connection_is_gone_even_if_its_peer_never_reads(tmp_path):
    server = HubServer(tmp_path / "hub.db", linger_s=0.3)
    try:
        login = server.new_device()
        device = f"/products/{login.product_id}/devices/{login.device_name}"
        with RawClient(server.port) as client:
            client.connect(login)
            client.subscribe((login.topic("control"), 1))
            (connection,) = server.hub.broker.connections
            _shrink_buffers(client, connection)
            while connection.unsent_bytes() < 100_000:
                server.send(login.topic("control"), bytes(15_000), 0)
            server.call("POST", device + "/disable")
            deadline = time.monotonic() + 3
            while server.hub.broker.connections:
                assert time.monotonic() < deadline
                time.sleep(0.05)
    finally:
        server.stop()


def _shrink_buffers(client: RawClient, connection) -> None:
    """Let little fit into the system's buffers, so that the hub's own fill soon."""
    client.set_receive_buffer(4096)
    hub_socket = connection._stream._writer.get_extra_info("socket")
    hub_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def test_oversize_is_recorded_with_its_rule(hub):
    login = hub.new_device()
    with RawClient(hub.port) as client:
        client.connect(login)
        client.send(b"\x30\x80\x80\x01")
        assert client.wait_closed()
    (reason,) = reasons(hub, login, "disconnect")
    assert reason == "protocol violation: a packet is at most 16384 bytes; this one has 16388"


def test_acknowledgements_before_a_violation_still_arrive(hub):
    login = hub.new_device()
    with RawClient(hub.port) as client:
        client.connect(login)
        client.send(publish_bytes(login.topic("event"), b"x", 1, 5) + b"\xf0\0")
        assert client.read_packet().kind == 4
        assert client.wait_closed()


def test_first_byte_that_is_no_connect_is_refused_at_once(hub):
    with RawClient(hub.port) as client:
        client.send(b"G")
        assert client.wait_closed(timeout_s=1)


def test_connect_that_arrives_in_pieces(hub):
    with RawClient(hub.port) as client:
        for byte in connect_bytes(hub.new_device()):
            client.send(bytes([byte]))
        assert client.expect(CONNACK) == b"\0\0"
