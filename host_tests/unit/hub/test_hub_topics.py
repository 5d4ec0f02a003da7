"""Filters, permissions and subscriptions of the hub (PROTOCOL.md 5 and 14.14)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.hub.application import addressed_device
from tools.hub.broker.subscriptions import Subscriptions
from tools.hub.identity import Identity
from tools.hub.permissions import Forbidden, check_publish, check_subscribe, published_family
from tools.hub.topics import (
    DEFAULT_TOPICS,
    Permission,
    custom_name_fault,
    filter_fault,
    matches,
)

ME = Identity("PRODUCTID1", "dev01")
OWN = "PRODUCTID1/dev01/"
OTHER = "PRODUCTID1/dev02/"
TOPICS = DEFAULT_TOPICS | {
    "room/1/heat": Permission.SUB,
    "room/2/heat": Permission.BOTH,
    "room/1/report": Permission.PUB,
}


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("#", "$sys/a", False),
        ("+/a", "$sys/a", False),
        ("$sys/#", "$sys/a", True),
        ("a/+/x/+", "a/b/x/c", True),
        ("a/+/x/+", "a/b/y/c", False),
        ("+", "/a", False),
        ("+/+", "/a", True),
    ],
)
def test_matches(topic_filter, topic, expected):
    assert matches(topic_filter, topic) is expected


LEVELS = st.lists(st.sampled_from(["a", "b", "", "+", "#"]), min_size=1, max_size=4)


@given(LEVELS, LEVELS)
def test_matching_agrees_with_paho(filter_levels, topic_levels):
    from paho.mqtt.client import topic_matches_sub

    topic_filter, topic = "/".join(filter_levels), "/".join(topic_levels)
    if filter_fault(topic_filter) or "+" in topic or "#" in topic or not topic:
        return
    assert matches(topic_filter, topic) == topic_matches_sub(topic_filter, topic)


@pytest.mark.parametrize("text", ["", "e#", "e+", "#/a", "a/#/b", "a/b+/c", "x" * 129])
def test_malformed_filters(text):
    assert filter_fault(text) is not None


@pytest.mark.parametrize("text", ["a", "/", "+", "#", "a/+/b/#", "$rrpc/rxd/P/D/+"])
def test_well_formed_filters(text):
    assert filter_fault(text) is None


@pytest.mark.parametrize(
    "topic",
    [
        OWN + "event",
        OWN + "data",
        OWN + "room/1/report",
        OWN + "room/2/heat",
        "$sys/operation/PRODUCTID1/dev01",
        "$shadow/operation/PRODUCTID1/dev01",
        "$ota/report/PRODUCTID1/dev01",
        "$rrpc/txd/PRODUCTID1/dev01/process_1",
        "$resource/up/service/PRODUCTID1/dev01",
    ],
)
def test_may_publish(topic):
    check_publish(TOPICS, ME, topic)


@pytest.mark.parametrize(
    "topic",
    [
        OWN + "control",
        OWN + "room/1/heat",
        OWN + "unknown",
        OWN,
        OWN.rstrip("/"),
        OTHER + "event",
        "PRODUCTID2/dev01/event",
        "event",
        "$sys/operation/result/PRODUCTID1/dev01",
        "$sys/operation/PRODUCTID1/dev02",
        "$sys/operation/PRODUCTID1/dev01/more",
        "$broadcast/rxd/PRODUCTID1/dev01",
        "$rrpc/txd/PRODUCTID1/dev01",
        "$rrpc/txd/PRODUCTID1/dev01/",
        "$rrpc/txd/PRODUCTID1/dev01/a/b",
        "$rrpc/txd/PRODUCTID1/dev01/" + "x" * 17,
        "$unknown/PRODUCTID1/dev01",
    ],
)
def test_may_not_publish(topic):
    with pytest.raises(Forbidden):
        check_publish(TOPICS, ME, topic)


def test_published_family():
    family = published_family(ME, "$ota/report/PRODUCTID1/dev01")
    assert family is not None and family.name == "ota"
    assert published_family(ME, OWN + "event") is None


@pytest.mark.parametrize(
    ("topic_filter", "expected"),
    [
        (OWN + "control", ["control"]),
        (OWN + "room/1/heat", ["room/1/heat"]),
        (OWN + "#", ["control", "data", "room/1/heat", "room/2/heat"]),
        (OWN + "+", ["control", "data"]),
        (OWN + "room/+/heat", ["room/1/heat", "room/2/heat"]),
        (OWN + "room/1/#", ["room/1/heat"]),
        (OWN + "room/+/report", []),
        (OWN + "event/+/x/+", []),
    ],
)
def test_subscribing_user_topics(topic_filter, expected):
    assert sorted(check_subscribe(TOPICS, ME, topic_filter)) == [OWN + name for name in expected]


@pytest.mark.parametrize(
    "topic",
    [
        "$sys/operation/result/PRODUCTID1/dev01",
        "$shadow/operation/result/PRODUCTID1/dev01",
        "$ota/update/PRODUCTID1/dev01",
        "$broadcast/rxd/PRODUCTID1/dev01",
        "$rrpc/rxd/PRODUCTID1/dev01/+",
        "$rrpc/rxd/PRODUCTID1/dev01/7",
    ],
)
def test_subscribing_system_topics(topic):
    assert check_subscribe(TOPICS, ME, topic) == [topic]


@pytest.mark.parametrize(
    "topic_filter",
    [
        OWN + "event",
        OWN + "room/1/report",
        OWN + "unknown",
        OWN + "e#",
        OWN,
        OTHER + "control",
        OTHER + "#",
        "#",
        "+/+/control",
        "PRODUCTID1/#",
        "PRODUCTID1/+/control",
        "$sys/operation/PRODUCTID1/dev01",
        "$sys/operation/result/PRODUCTID1/+",
        "$sys/#",
        "$shadow/operation/result/PRODUCTID1/dev01/#",
        "$rrpc/rxd/PRODUCTID1/+/+",
        "$rrpc/rxd/PRODUCTID1/dev01/#",
        "$rrpc/rxd/PRODUCTID1/dev02/+",
    ],
)
def test_may_not_subscribe(topic_filter):
    with pytest.raises(Forbidden):
        check_subscribe(TOPICS, ME, topic_filter)


def test_64_bytes_bind_custom_topics_only():
    long_name = Identity("PRODUCTID1", "d" * 48)
    topics = DEFAULT_TOPICS | {"1234": Permission.BOTH, "12345": Permission.BOTH}
    check_publish(topics, long_name, f"{long_name.path}/1234")  # 64 bytes
    with pytest.raises(Forbidden, match="64"):
        check_publish(topics, long_name, f"{long_name.path}/12345")
    with pytest.raises(Forbidden, match="64"):
        check_subscribe(topics, long_name, f"{long_name.path}/12345")
    assert check_subscribe(topics, long_name, f"{long_name.path}/control")  # 67 bytes, exempt
    everything = check_subscribe(topics, long_name, f"{long_name.path}/#")
    assert f"{long_name.path}/1234" in everything
    assert f"{long_name.path}/12345" not in everything
    check_publish(topics, long_name, f"$gateway/operation/{long_name.path}")


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "a/+", "#", "a\0", "a\n", "x" * 52])
def test_custom_names_refused(name):
    assert custom_name_fault(name) is not None


@pytest.mark.parametrize("name", ["a", "a/b/c", "temperature", "\u6e29\u5ea6", "x" * 51])
def test_custom_names(name):
    assert custom_name_fault(name) is None


@pytest.mark.parametrize(
    ("topic", "device"),
    [
        (OWN + "control", ME),
        (OWN + "room/1/heat", ME),
        ("$sys/operation/result/PRODUCTID1/dev01", ME),
        ("$rrpc/rxd/PRODUCTID1/dev01/7", ME),
        ("$unknown/PRODUCTID1/dev01", None),
        ("PRODUCTID1", None),
        ("short/dev01/control", None),
        ("", None),
    ],
)
def test_addressed_device(topic, device):
    assert addressed_device(topic) == device


def test_subscriptions_grant_the_last_qos_and_drop_by_filter():
    subscriptions = Subscriptions()
    for topic in ("control", "data", "room/1/heat"):
        subscriptions.add(OWN + topic, 0)
    subscriptions.add(OWN + "control", 1)
    subscriptions.add("$rrpc/rxd/PRODUCTID1/dev01/+", 1)
    assert subscriptions.granted_qos(OWN + "control") == 1
    assert subscriptions.granted_qos(OWN + "data") == 0
    assert subscriptions.granted_qos("$rrpc/rxd/PRODUCTID1/dev01/99") == 1
    assert subscriptions.granted_qos(OWN + "event") is None
    assert subscriptions.remove(OWN + "e#") == []
    assert subscriptions.remove(OWN + "room/#") == [OWN + "room/1/heat"]
    assert sorted(subscriptions.remove(OWN + "#")) == [OWN + "control", OWN + "data"]
    assert len(subscriptions) == 1, "a user wildcard leaves system topics alone"
    assert subscriptions.remove("$rrpc/rxd/PRODUCTID1/dev01/+")
    assert subscriptions.granted_qos("$rrpc/rxd/PRODUCTID1/dev01/99") is None
