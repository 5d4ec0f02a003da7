"""One set of scenarios, run on the hub by every way in, on mosquitto, and on an IoT MQ instance of
the hub; every difference is explained here.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from host_tests.conftest import requires
from host_tests.peers.broker_iotmq import IotMqServer
from host_tests.peers.broker_scenarios import SCENARIOS
from host_tests.peers.broker_servers import WAYS, HubServer, MosquittoServer, Server

# Scenario: (what mosquitto shows, why). The hub always shows what the scenario says is agreed.
_NO_RULES = "the standard allows it; the cloud's documents do not, and mosquitto knows no cloud"
_LENIENT = "the standard forbids it; mosquitto does not look, the hub tells a device's author"
DIFFERENCES: dict[str, tuple[object, str]] = {
    "protocol_level_5": (0, "mosquitto speaks MQTT 5; the cloud speaks 3.1 and 3.1.1 only"),
    "empty_client_id_with_clean_session": (0, "mosquitto makes one up; the cloud's is PID+DN"),
    "login_with_will": (0, _NO_RULES),
    "keepalive_over_900_s": (0, _NO_RULES),
    "publish_with_retain": ("open", _NO_RULES),
    "publish_at_qos_2": ("PUBREC", _NO_RULES),
    "subscribe_at_qos_2": ([2], _NO_RULES),
    "publish_to_a_topic_not_permitted": ("delivered", "mosquitto runs without an ACL here"),
    "forbidden_filters": ([1, 1, 1], "mosquitto runs without an ACL here"),
    "malformed_filters": ("closed", "both are the standard's; the documents' answer is 0x80"),
    "wildcard_unsubscribe_drops_what_it_matches": (
        [b"1", b"2"],
        "in the standard a filter is unsubscribed by the same text; the documents' by matching",
    ),
    "packet_size_cap": (
        {16_383: "open", 16_384: "open", 16_385: "open", 16_388: "closed", 16_389: "closed"},
        "mosquitto's max_packet_size leaves out the length field, the hub counts the whole packet",
    ),
    "at_most_150_are_unacknowledged": (
        (150, 1),
        "mosquitto queues the 151st beside its window; the documents allow 150 in all",
    ),
    "dup_at_qos_0": ("open", _LENIENT),
    "puback_flags": ("open", _LENIENT),
    "puback_too_long": ("open", _LENIENT),
    "pingreq_with_body": ("open", _LENIENT),
    "pingreq_flags": ("open", _LENIENT),
}

# What IoT MQ shows otherwise than mosquitto, which is MQTT 3.1.1 without a cloud's rules as well.
_STRICT = "mosquitto does not look, the hub tells a client's author"
IOTMQ_DIFFERENCES: dict[str, tuple[object, str]] = {
    "mqtt_31_login": ((1, False), "the documents promise MQTT 3.1.1 strictly, and no other"),
    "protocol_level_5": (1, "the documents promise MQTT 3.1.1 strictly, and no other"),
    "subscribe_at_qos_2": ([1], "the standard lets a server grant less than is asked for"),
    "malformed_filters": ([128, 128, 128], "the standard lets both; it is not worth a connection"),
    "wildcard_without_a_match_succeeds": ([128, 128], "a topic has to be created first"),
    "packet_size_cap": (
        dict.fromkeys((16383, 16384, 16385, 16388, 16389), "open"),
        "each topic has a maximum of its own, up to 64 KiB; more is dropped",
    ),
    "at_most_150_are_kept_offline": ((155, [0, 154]), "the documents give this service no limit"),
    "dup_at_qos_0": ("closed", _STRICT),
    "puback_flags": ("closed", _STRICT),
    "puback_too_long": ("closed", _STRICT),
    "pingreq_with_body": ("closed", _STRICT),
    "pingreq_flags": ("closed", _STRICT),
}


# These take their server down; the others mostly wait, each for its own devices.
_RESTARTING = ("session_survives_a_restart", "restart_forgets_what_was_acknowledged")
_AT_ONCE = 8
Outcomes = dict[str, Future[Any]]
_Server = TypeVar("_Server", bound=Server)


@contextmanager
def stopping(server: _Server) -> Iterator[_Server]:
    try:
        yield server
    finally:
        server.stop()


def outcomes(server: Server) -> Outcomes:
    """What every scenario shows on one server."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        shown = {
            name: pool.submit(scenario, server)
            for name, (scenario, _) in SCENARIOS.items()
            if name not in _RESTARTING
        }
    with ThreadPoolExecutor(1) as pool:
        return shown | {name: pool.submit(SCENARIOS[name][0], server) for name in _RESTARTING}


@pytest.fixture(scope="module", params=WAYS)
def on_hub(tmp_path_factory, request) -> Outcomes:
    database = tmp_path_factory.mktemp("hub") / "hub.db"
    with stopping(HubServer(database, request.param, stored_interval_ms=5)) as server:
        return outcomes(server)


@pytest.fixture(scope="module")
def on_mosquitto(tmp_path_factory) -> Outcomes:
    with stopping(MosquittoServer(tmp_path_factory.mktemp("mosquitto"))) as server:
        return outcomes(server)


@pytest.fixture(scope="module")
def on_iotmq(tmp_path_factory) -> Outcomes:
    with stopping(IotMqServer(tmp_path_factory.mktemp("iotmq") / "hub.db")) as server:
        return outcomes(server)


@pytest.mark.parametrize("name", SCENARIOS)
def test_hub(on_hub, name):
    assert on_hub[name].result() == SCENARIOS[name][1]


@requires("mosquitto")
@pytest.mark.parametrize("name", SCENARIOS)
def test_mosquitto(on_mosquitto, name):
    expected = DIFFERENCES[name][0] if name in DIFFERENCES else SCENARIOS[name][1]
    assert on_mosquitto[name].result() == expected


@pytest.mark.parametrize("name", SCENARIOS)
def test_iotmq(on_iotmq, name):
    different = IOTMQ_DIFFERENCES.get(name) or DIFFERENCES.get(name)
    assert on_iotmq[name].result() == (different[0] if different else SCENARIOS[name][1])


def test_every_difference_is_one():
    agreed = {name: outcome for name, (_, outcome) in SCENARIOS.items()}
    mosquitto = agreed | {name: shown for name, (shown, _) in DIFFERENCES.items()}
    for differences, others in ((DIFFERENCES, agreed), (IOTMQ_DIFFERENCES, mosquitto)):
        for name, (shown, why) in differences.items():
            assert shown != others[name], f"{name} is no difference"
            assert len(why) > 20, f"{name} lacks its reason"
