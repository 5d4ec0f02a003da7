"""What a broker is put through. Each scenario returns what it saw, in plain values, so that two
brokers can be compared; `agreed` is what both must show unless a difference is explained.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any

from host_tests.peers.broker_client import (
    PUBACK,
    PUBLISH,
    PUBREC,
    connect_bytes,
    field,
    packet,
    publish_bytes,
    subscribe_bytes,
)
from host_tests.peers.broker_servers import Server

Scenario = Callable[[Server], Any]
SCENARIOS: dict[str, tuple[Scenario, Any]] = {}


def agreed(outcome: Any) -> Callable[[Scenario], Scenario]:
    def register(scenario: Scenario) -> Scenario:
        SCENARIOS[scenario.__name__] = (scenario, outcome)
        return scenario

    return register


# Logins and sessions.


@agreed([(0, False), (0, False), (0, True), (0, True), (0, False), (0, False)])
def session_present(server: Server) -> Any:
    login, seen = server.new_device(), []
    for clean in (True, False, False, False, True, False):
        with server.client(login) as client:
            seen.append(client.connect(login, clean=clean))
            client.disconnect()
    return seen


@agreed((0, True))
def mqtt_31_login(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        code, _ = client.connect(login, level=3, name="MQIsdp")
        return code, client.is_open()


@agreed(1)
def unknown_protocol_level(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        code, _ = client.connect(login, level=6)
        return code


@agreed(1)
def protocol_level_5(server: Server) -> Any:
    login = server.new_device()
    properties = b"\0"
    head = field("MQTT") + b"\x05\x02\0\x3c" + properties
    with server.client(login) as client:
        client.send(packet(0x10, head + field(login.client_id)))
        return client.read_packet().body[1]


@agreed("closed")
def unknown_protocol_name(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.send(connect_bytes(login, name="HTTP"))
        return "closed" if client.wait_closed() else "open"


@agreed(2)
def empty_client_id_without_clean_session(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        return client.connect(login, clean=False, client_id="")[0]


@agreed(2)
def empty_client_id_with_clean_session(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        return client.connect(login, client_id="")[0]


@agreed(5)
def login_with_will(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        return client.connect(login, will=True)[0]


@agreed(5)
def keepalive_over_900_s(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        return client.connect(login, keepalive_s=901)[0]


@agreed([0, 0])
def keepalive_0_and_900_s(server: Server) -> Any:
    login, codes = server.new_device(), []
    for keepalive_s in (0, 900):
        with server.client(login) as client:
            codes.append(client.connect(login, keepalive_s=keepalive_s)[0])
            client.disconnect()
    return codes


@agreed(("old closed", "new open"))
def takeover(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as old, server.client(login) as new:
        old.connect(login)
        new.connect(login)
        return (
            "old closed" if old.wait_closed() else "old open",
            "new open" if new.is_open() else "new closed",
        )


@agreed((True, [b"kept"]))
def takeover_keeps_the_session(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as old, server.client(login) as new:
        old.connect(login, clean=False)
        old.subscribe((login.topic("control"), 1))
        _, present = new.connect(login, clean=False)
        server.send(login.topic("control"), b"kept", 1)
        return present, [message.payload for message in new.messages()]


@agreed(("closed in time", "alive with pings"))
def keepalive_is_enforced(server: Server) -> Any:
    silent, pinging = server.new_device(), server.new_device()
    with server.client(silent) as first, server.client(pinging) as second:
        first.connect(silent, keepalive_s=2)
        second.connect(pinging, keepalive_s=2)
        started = time.monotonic()
        alive = True
        for _ in range(12):
            time.sleep(0.25)
            alive = alive and second.is_open()
        closed = first.wait_closed(timeout_s=6)
        took_s = time.monotonic() - started
        # 1.5 times 2 s; mosquitto looks once a second, not sooner than it must, and on a busy
        # machine later.
        return (
            "closed in time" if closed and 2.9 <= took_s <= 8 else f"{closed} after {took_s} s",
            "alive with pings" if alive else "dropped despite pings",
        )


# Messages from the device.


@agreed([1, 65535, 7])
def puback_carries_the_packet_id(server: Server) -> Any:
    login, acknowledged = server.new_device(), []
    with server.client(login) as client:
        client.connect(login)
        for packet_id in (1, 65535, 7):
            client.send(publish_bytes(login.topic("event"), b"x", 1, packet_id))
            acknowledged.append(int.from_bytes(client.expect(PUBACK), "big"))
    return acknowledged


@agreed(["first", "second"])
def dup_publish_is_acknowledged_again(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.publish(login.topic("event"), b"same", packet_id=9)
        client.publish(login.topic("event"), b"same", packet_id=9, dup=True)
        return ["first", "second"]


@agreed([(b"a", 0), (b"b", 1), (b"c", 0)])
def publish_comes_back_to_its_subscriber(server: Server) -> Any:
    login = server.new_device()
    topic = login.topic("data")
    with server.client(login) as client:
        client.connect(login)
        client.subscribe((topic, 1))
        client.send(publish_bytes(topic, b"a"))
        client.send(publish_bytes(topic, b"b", 1, 5))
        client.send(publish_bytes(topic, b"c"))
        found: list[Any] = []
        while len(found) < 3:
            received = client.read_packet()
            if received.kind == PUBACK:
                continue
            start = 2 + len(topic) + (2 if received.flags & 2 else 0)
            found.append((received.body[start:], received.flags >> 1 & 3))
        return found


@agreed("closed")
def publish_with_retain(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.send(publish_bytes(login.topic("event"), b"x", 1, 1, retain=True))
        return "open" if client.is_open() else "closed"


@agreed("closed")
def publish_at_qos_2(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.send(publish_bytes(login.topic("event"), b"x", 2, 1))
        try:
            return "PUBREC" if client.read_packet().kind == PUBREC else "other"
        except EOFError:
            return "closed"


@agreed("acknowledged, not delivered")
def publish_to_a_topic_not_permitted(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.subscribe((login.topic("control"), 1))
        client.send(publish_bytes(login.topic("control"), b"x", 1, 1))
        kinds = {client.read_packet().kind}
        with contextlib.suppress(TimeoutError):
            kinds.add(client.read_packet(timeout_s=0.5).kind)
        assert PUBACK in kinds
        return "delivered" if PUBLISH in kinds else "acknowledged, not delivered"


@agreed({16_383: "open", 16_384: "open", 16_385: "closed", 16_388: "closed", 16_389: "closed"})
def packet_size_cap(server: Server) -> Any:
    """The whole packet counts: 16,384 bytes pass, 16,385 do not."""
    seen = {}
    for size in (16_383, 16_384, 16_385, 16_388, 16_389):
        login = server.new_device()
        with server.client(login) as client:
            client.connect(login)
            client.send(_publish_of_size(login.topic("event"), size))
            seen[size] = "open" if client.is_open() else "closed"
    return seen


def _publish_of_size(topic: str, size: int) -> bytes:
    length_bytes = 2 if size <= 1 + 2 + 16_383 else 3
    whole = publish_bytes(topic, bytes(size - 1 - length_bytes - len(field(topic))))
    assert len(whole) == size
    return whole


@agreed("closed")
def huge_length_is_refused_before_its_body(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.send(b"\x30\xff\xff\xff\x7f")
        return "closed" if client.wait_closed() else "open"


# Subscriptions.


@agreed([0, 1, 0, 1])
def granted_qos(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        names = (("control", 0), ("data", 1))
        several = client.subscribe(*((login.topic(name), qos) for name, qos in names))
        return several + [client.subscribe((login.topic("data"), qos))[0] for qos in (0, 1)]


@agreed([1])
def subscribe_at_qos_2(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        return client.subscribe((login.topic("control"), 2))


@agreed([(1, 1), (1, 0), (0, 1), (0, 0)])
def delivered_at_the_lower_qos(server: Server) -> Any:
    login, seen = server.new_device(), []
    with server.client(login) as client:
        client.connect(login)
        for sent, granted in ((1, 1), (1, 0), (0, 1), (0, 0)):
            client.subscribe((login.topic("control"), granted))
            server.send(login.topic("control"), b"x", sent)
            qos = client.message().qos
            assert qos == min(sent, granted)
            seen.append((sent, granted))
    return seen


@agreed([128, 128, 128])
def forbidden_filters(server: Server) -> Any:
    mine, other = server.new_device(), server.new_device()
    with server.client(mine) as client:
        client.connect(mine)
        return client.subscribe((mine.topic("event"), 1), (other.topic("control"), 1), ("#", 1))


@agreed([128, 128, 128])
def malformed_filters(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        try:
            return [
                client.subscribe((login.topic(name), 1))[0] for name in ("c#", "#/control", "a+")
            ]
        except EOFError:
            return "closed"


@agreed(([1], [b"1", b"2"]))
def wildcard_delivers_what_it_matches(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        codes = client.subscribe((login.topic("#"), 1))
        server.send(login.topic("control"), b"1", 1)
        server.send(login.topic("data"), b"2", 1)
        return codes, sorted(message.payload for message in client.messages())


@agreed([0, 1])
def wildcard_without_a_match_succeeds(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        return client.subscribe((login.topic("nothing/+"), 0), (login.topic("+/+/x/#"), 1))


@agreed([])
def wildcard_unsubscribe_drops_what_it_matches(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.subscribe((login.topic("control"), 1), (login.topic("data"), 1))
        client.unsubscribe(login.topic("#"))
        server.send(login.topic("control"), b"1", 1)
        server.send(login.topic("data"), b"2", 1)
        return [message.payload for message in client.messages()]


@agreed([b"1"])
def overlapping_subscriptions_deliver_once(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.subscribe((login.topic("#"), 1), (login.topic("control"), 1))
        server.send(login.topic("control"), b"1", 1)
        return [message.payload for message in client.messages()]


@agreed([])
def unsubscribe_stops_delivery(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.subscribe((login.topic("control"), 1))
        client.unsubscribe(login.topic("control"), login.topic("never"))
        server.send(login.topic("control"), b"1", 1)
        return [message.payload for message in client.messages()]


# Messages to the device.


@agreed([b"a", b"b", b"c"])
def stored_for_a_persistent_session(server: Server) -> Any:
    return _offline_messages(server, clean=False, qos=1)


@agreed([])
def not_stored_for_a_clean_session(server: Server) -> Any:
    return _offline_messages(server, clean=True, qos=1)


@agreed([])
def qos_0_is_not_stored(server: Server) -> Any:
    return _offline_messages(server, clean=False, qos=0)


def _offline_messages(server: Server, clean: bool, qos: int) -> list[bytes]:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login, clean=clean)
        client.subscribe((login.topic("control"), 1))
        client.disconnect()
    for payload in (b"a", b"b", b"c"):
        server.send(login.topic("control"), payload, qos)
    with server.client(login) as client:
        client.connect(login, clean=clean)
        return [message.payload for message in client.messages()]


@agreed(([b"a", b"b"], [(b"a", True), (b"b", True)], "same packet ids", []))
def unacknowledged_is_redelivered_with_dup(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("control"), 1))
        server.send(login.topic("control"), b"a", 1)
        server.send(login.topic("control"), b"b", 1)
        first = [client.message(acknowledge=False) for _ in range(2)]
    with server.client(login) as client:
        client.connect(login, clean=False)
        again = client.messages()
        client.disconnect()
    with server.client(login) as client:
        client.connect(login, clean=False)
        rest = [message.payload for message in client.messages()]
    same = [each.packet_id for each in first] == [each.packet_id for each in again]
    return (
        [message.payload for message in first],
        [(message.payload, message.dup) for message in again],
        "same packet ids" if same else "other packet ids",
        rest,
    )


@agreed([])
def not_redelivered_while_connected(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.subscribe((login.topic("control"), 1))
        server.send(login.topic("control"), b"a", 1)
        client.message(acknowledge=False)
        return client.messages(quiet_s=1.5)


@agreed((True, [b"kept"]))
def session_survives_a_restart(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("control"), 1))
        client.disconnect()
    server.send(login.topic("control"), b"kept", 1)
    server.restart()
    with server.client(login) as client:
        _, present = client.connect(login, clean=False)
        return present, [message.payload for message in client.messages()]


@agreed([(b"unacknowledged", True), (b"stored", False)])
def restart_forgets_what_was_acknowledged(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("control"), 1), (login.topic("data"), 1))
        client.unsubscribe(login.topic("data"))
        server.send(login.topic("control"), b"acknowledged", 1)
        client.message()
        server.send(login.topic("control"), b"unacknowledged", 1)
        client.message(acknowledge=False)
        client.disconnect()
    server.send(login.topic("control"), b"stored", 1)
    server.restart()
    with server.client(login) as client:
        client.connect(login, clean=False)
        server.send(login.topic("data"), b"no longer subscribed", 1)
        return [(message.payload, message.dup) for message in client.messages()]


@agreed((150, [0, 149]))
def at_most_150_are_kept_offline(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login, clean=False)
        client.subscribe((login.topic("control"), 1))
        client.disconnect()
    for number in range(155):
        server.send(login.topic("control"), b"%d" % number, 1)
    with server.client(login) as client:
        client.connect(login, clean=False)
        numbers = [int(message.payload) for message in client.messages()]
    assert numbers == sorted(numbers)
    return len(numbers), [numbers[0], numbers[-1]]


@agreed((150, 0))
def at_most_150_are_unacknowledged(server: Server) -> Any:
    """The 151st to a device that acknowledges nothing: dropped by the hub."""
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.subscribe((login.topic("control"), 1))
        for number in range(151):
            server.send(login.topic("control"), b"%d" % number, 1)
        ids = [client.message(acknowledge=False).packet_id for _ in range(150)]
        assert len(set(ids)) == 150 and 0 not in ids
        client.send(b"".join(packet(0x40, each.to_bytes(2, "big")) for each in ids))
        return len(ids), len(client.messages())


@agreed("open")
def puback_for_an_unknown_id_is_ignored(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.send(packet(0x40, b"\x12\x34"))
        return "open" if client.is_open() else "closed"


# The byte stream.


@agreed(["byte by byte", "at once"])
def packets_split_and_coalesced(server: Server) -> Any:
    done = []
    for name in ("byte by byte", "at once"):
        login = server.new_device()
        stream = connect_bytes(login) + subscribe_bytes(1, (login.topic("data"), 0))
        stream += b"".join(publish_bytes(login.topic("event"), b"x", 1, n) for n in range(1, 6))
        pieces = [stream] if name == "at once" else [bytes([byte]) for byte in stream]
        with server.client(login) as client:
            for piece in pieces:
                client.send(piece)
            kinds = [client.read_packet().kind for _ in range(7)]
        assert kinds == [2, 9, 4, 4, 4, 4, 4]
        done.append(name)
    return done


@agreed("all of it came back, in order")
def bulk_both_ways(server: Server) -> Any:
    """Five megabytes through whatever lies between, in packets of near the greatest size."""
    login = server.new_device()
    topic, noise = login.topic("data"), bytes(range(256)) * 63
    with server.client(login) as client:
        client.connect(login)
        client.subscribe((topic, 1))
        expected = 0
        for first in range(0, 320, 8):
            numbers = range(first, first + 8)
            client.send(
                b"".join(publish_bytes(topic, b"%d " % n + noise, 1, n + 1) for n in numbers)
            )
            acknowledged = 0
            while acknowledged < 8 or expected < first + 8:
                received = client.read_packet()
                if received.kind == PUBACK:
                    acknowledged += 1
                    continue
                start = 2 + len(topic)
                client.send(packet(0x40, received.body[start : start + 2]))
                if received.body[start + 2 :] != b"%d " % expected + noise:
                    return f"message {expected} is another, or damaged"
                expected += 1
    return "all of it came back, in order"


def _violation(name: str, make: Callable[[str], bytes]) -> None:
    def scenario(server: Server) -> Any:
        login = server.new_device()
        with server.client(login) as client:
            client.connect(login)
            client.send(make(login.topic("event")))
            return "open" if client.is_open() else "closed"

    scenario.__name__ = name
    agreed("closed")(scenario)


_violation("length_of_five_bytes", lambda topic: b"\x30\xff\xff\xff\xff\x01")
_violation("qos_3", lambda topic: packet(0x36, field(topic) + b"\0\1x"))
_violation("packet_id_0_in_publish", lambda topic: publish_bytes(topic, b"x", 1, 0))
_violation("packet_id_0_in_subscribe", lambda topic: subscribe_bytes(0, (topic, 0)))
_violation("dup_at_qos_0", lambda topic: publish_bytes(topic, b"x", dup=True))
_violation("wildcard_in_topic_name", lambda topic: publish_bytes(topic + "/#", b"x"))
_violation("empty_topic_name", lambda topic: publish_bytes("", b"x"))
_violation("topic_past_the_end", lambda topic: packet(0x30, b"\0\x20short"))
_violation("topic_not_utf8", lambda topic: packet(0x30, field(b"\xff\xfe")))
_violation("topic_with_surrogate", lambda topic: packet(0x30, field(b"a\xed\xa0\x80")))
_violation("topic_with_nul", lambda topic: packet(0x30, field(b"a\0b")))
_violation("subscribe_flags", lambda topic: packet(0x80, b"\0\1" + field(topic) + b"\0"))
_violation("subscribe_without_filters", lambda topic: packet(0x82, b"\0\1"))
_violation("subscribe_qos_3", lambda topic: subscribe_bytes(1, (topic, 3)))
_violation("unsubscribe_without_filters", lambda topic: packet(0xA2, b"\0\1"))
_violation("unsubscribe_flags", lambda topic: packet(0xA0, b"\0\1" + field(topic)))
_violation("puback_flags", lambda topic: packet(0x41, b"\0\1"))
_violation("puback_too_long", lambda topic: packet(0x40, b"\0\1\0"))
_violation("pingreq_with_body", lambda topic: packet(0xC0, b"x"))
_violation("pingreq_flags", lambda topic: packet(0xC1, b""))
_violation("connack_from_a_client", lambda topic: packet(0x20, b"\0\0"))
_violation("packet_type_0", lambda topic: packet(0x00, b""))
_violation("packet_type_15", lambda topic: packet(0xF0, b""))


@agreed("closed")
def second_connect(server: Server) -> Any:
    login = server.new_device()
    with server.client(login) as client:
        client.connect(login)
        client.send(connect_bytes(login))
        return "open" if client.is_open() else "closed"


def _first_packet(name: str, data: bytes) -> None:
    def scenario(server: Server) -> Any:
        with server.client(server.new_device()) as client:
            client.send(data)
            return "closed" if client.wait_closed() else "open"

    scenario.__name__ = name
    agreed("closed")(scenario)


_CONNECT_HEAD = field("MQTT") + b"\x04"
_first_packet("ping_before_connect", b"\xc0\x00")
_first_packet("publish_before_connect", publish_bytes("a/b", b"x"))
_first_packet("http_request", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
_first_packet("connect_flags", packet(0x11, _CONNECT_HEAD + b"\x02\0\0" + field("a")))
_first_packet("connect_reserved_flag", packet(0x10, _CONNECT_HEAD + b"\x03\0\0" + field("a")))
_first_packet("connect_cut_short", packet(0x10, _CONNECT_HEAD + b"\x02\0"))
_first_packet(
    "password_without_user_name",
    packet(0x10, _CONNECT_HEAD + b"\x42\0\0" + field("a") + field("p")),
)
_first_packet("will_qos_without_will", packet(0x10, _CONNECT_HEAD + b"\x0a\0\0" + field("a")))
_first_packet(
    "bytes_after_connect_payload", packet(0x10, _CONNECT_HEAD + b"\x02\0\0" + field("a") + b"x")
)
