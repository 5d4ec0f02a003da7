"""IoT MQ's login and catalogue, held to the documents' vectors."""

from dataclasses import replace

import pytest

from tools.hub.broker.packet import Connect
from tools.hub.clock import HubClock
from tools.hub.events import Records
from tools.hub.iotmq.catalogue import MAX_MESSAGE_BYTES, Catalogue, Instance
from tools.hub.iotmq.login import check_login, sign
from tools.hub.login import ConnackCode, Refused
from tools.hub.registry import RegistryError
from tools.hub.store import Store

# PROTOCOL.md section 0, V1 and V2; the documents' own example.
SECRET_ID, SECRET_KEY = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA", "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA"
INSTANCE = Instance("mqtt-4wuymbpbs", "1251762227", SECRET_ID, SECRET_KEY, 0, 0)
PASSWORD = b"4SSm4Z8rVQZXDEMgAt5CFBA1rVTjYSPbs1lxqRJmnSs="
GOOD = Connect(4, True, "any name at all/\u4e2d", True, 60, None, SECRET_ID, PASSWORD)


def test_vectors():
    assert sign(INSTANCE) == PASSWORD
    other = replace(INSTANCE, instance_id="mqtt-fludu2t6")
    assert sign(other) == b"anoZcbvEjytpjOWQE61+DO5XOU61XyXBKioOE5WCI8s="


def test_client_ids_are_free():
    identity = check_login(GOOD, INSTANCE)
    assert identity == ("mqtt-4wuymbpbs", "any name at all/\u4e2d")
    unnamed = [check_login(replace(GOOD, client_id=""), INSTANCE) for _ in range(2)]
    assert unnamed[0] != unnamed[1]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"protocol_level": 3}, ConnackCode.BAD_PROTOCOL_LEVEL),
        ({"supported": False, "protocol_level": 5}, ConnackCode.BAD_PROTOCOL_LEVEL),
        ({"client_id": "", "clean_session": False}, ConnackCode.CLIENT_ID_REJECTED),
        ({"client_id": "x" * 129}, ConnackCode.CLIENT_ID_REJECTED),
        ({"user_name": None}, ConnackCode.BAD_USER_NAME_OR_PASSWORD),
        ({"user_name": SECRET_ID[:-1]}, ConnackCode.BAD_USER_NAME_OR_PASSWORD),
        ({"password": None}, ConnackCode.BAD_USER_NAME_OR_PASSWORD),
        ({"password": PASSWORD[:-1]}, ConnackCode.BAD_USER_NAME_OR_PASSWORD),
        ({"password": PASSWORD.lower()}, ConnackCode.BAD_USER_NAME_OR_PASSWORD),
        ({"password": SECRET_KEY.encode()}, ConnackCode.BAD_USER_NAME_OR_PASSWORD),
    ],
)
def test_refusals(changes, code):
    with pytest.raises(Refused) as caught:
        check_login(replace(GOOD, **changes), INSTANCE)
    assert caught.value.code == code
    assert PASSWORD.decode() not in str(caught.value) and SECRET_KEY not in str(caught.value)


def test_the_secret_key_is_not_shown():
    assert SECRET_KEY not in repr(INSTANCE)


@pytest.fixture
def catalogue():
    clock = HubClock()
    store = Store(":memory:")
    return Catalogue(store, clock, Records(store, clock))


def test_what_is_not_given_is_made_up_and_valid(catalogue):
    for _ in range(20):
        catalogue.keep(catalogue.draft())
    assert len(catalogue.instances) == 20
    with pytest.raises(RegistryError, match="at most 20"):
        catalogue.draft()


@pytest.mark.parametrize(
    "field",
    [
        {"instance_id": "PRODUCTID1"},
        {"instance_id": "mqtt-"},
        {"instance_id": "mqtt-UPPER"},
        {"instance_id": "mqtt-a/b4567"},
        {"app_id": "x"},
        {"secret_id": "short"},
        {"secret_key": "with spaces in it, which none has"},
    ],
)
def test_fields_that_are_refused_are_named(catalogue, field):
    with pytest.raises(RegistryError, match=next(iter(field))) as caught:
        catalogue.draft(**field)
    assert caught.value.code == "invalid"


@pytest.mark.parametrize(
    ("name", "life_time_s", "max_bytes", "words"),
    [
        ("", 1, 1, "1 to 128 bytes"),
        ("x" * 129, 1, 1, "1 to 128 bytes"),
        ("a/+", 1, 1, "no wildcard"),
        ("a/#", 1, 1, "no wildcard"),
        ("$sys", 1, 1, "begin with"),
        ("a\nb", 1, 1, "printable"),
        ("a", 0, 1, "life_time_s"),
        ("a", 30 * 86400 + 1, 1, "life_time_s"),
        ("a", 1, 0, "max_bytes"),
        ("a", 1, MAX_MESSAGE_BYTES + 1, "max_bytes"),
        ("taken", 1, 1, "already"),
    ],
)
def test_topics_that_are_refused(catalogue, name, life_time_s, max_bytes, words):
    catalogue.keep(catalogue.draft("mqtt-test"))
    catalogue.add_topic("mqtt-test", "taken", 1, 1)
    with pytest.raises(RegistryError, match=words):
        catalogue.add_topic("mqtt-test", name, life_time_s, max_bytes)
    assert set(catalogue.instances["mqtt-test"].topics) == {"taken"}


def test_everything_outlives_the_process(tmp_path):
    clock, path = HubClock(), str(tmp_path / "hub.db")
    store = Store(path)
    first = Catalogue(store, clock, Records(store, clock))
    first.keep(first.draft("mqtt-test", "1251762227", SECRET_ID, SECRET_KEY))
    first.add_topic("mqtt-test", "room/1", 60, 100)
    store.close()
    store = Store(path)
    second = Catalogue(store, clock, Records(store, clock))
    assert second.instances == first.instances
    assert second.instance("mqtt-test").topics["room/1"].life_time_s == 60
