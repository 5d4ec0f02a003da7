"""The store: group transactions, refusals, records, and a registry that outlives the process."""

import base64
import copy
import sqlite3
from collections.abc import Callable

import pytest

from tools.hub.clock import HubClock
from tools.hub.events import Records
from tools.hub.faults import FaultError, Faults
from tools.hub.registry import MAX_TOPICS_PER_PRODUCT, Registry, RegistryError
from tools.hub.store import Store, StoreError

INSERT = "INSERT INTO event VALUES (?, 0, NULL, 'x', '{}')"


def rows(store: Store) -> list[int]:
    return [row[0] for row in store.query("SELECT id FROM event ORDER BY id")]


def test_writes_wait_for_flush_and_reads_see_them(tmp_path):
    path = str(tmp_path / "hub.db")
    store, pendings = Store(path), []
    store.on_pending = lambda: pendings.append(True)
    for number in range(3):
        store.later(INSERT, (number,))
    assert len(pendings) == 1, "one commit is asked for, not one a row"
    other = sqlite3.connect(path)
    assert other.execute("SELECT COUNT(*) FROM event").fetchone() == (0,)
    assert rows(store) == [0, 1, 2]
    assert other.execute("SELECT COUNT(*) FROM event").fetchone() == (3,)


def test_a_failing_transaction_keeps_nothing_and_the_next_works(tmp_path):
    store = Store(str(tmp_path / "hub.db"))
    store.later(INSERT, (1,))
    store.later(INSERT, (1,))
    with pytest.raises(StoreError, match="2 rows lost"):
        store.flush()
    store.later(INSERT, (2,))
    assert rows(store) == [2]


def test_what_sqlite_cannot_store_ends_only_its_transaction():
    store = Store(":memory:")
    store.later("INSERT INTO event VALUES (?, 0, NULL, ?, '{}')", (1, "\ud800"))
    with pytest.raises(StoreError, match="surrogates"):
        store.flush()
    store.later(INSERT, (2,))
    assert rows(store) == [2]


def test_writes_keep_their_order_across_statements():
    store = Store(":memory:")
    store.later(INSERT, (1,))
    store.later("DELETE FROM event WHERE id = ?", (1,))
    store.later(INSERT, (1,))
    assert rows(store) == [1]


def test_another_schema_is_refused(tmp_path):
    path = str(tmp_path / "hub.db")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="schema 99"):
        Store(path)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "hub.db"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(StoreError, match="opening the database"):
        Store(str(path))


def test_records_are_bounded():
    store = Store(":memory:")
    records = Records(store, HubClock())
    for _ in range(20):
        records.event("x", None)
        records.message("P/d", "t", b"", 0, False)
    records.sweep(max_events=5, max_messages=3)
    assert rows(store) == [16, 17, 18, 19, 20]
    assert store.query("SELECT COUNT(*) FROM message")[0][0] == 3


def new_registry(path: str) -> tuple[Store, Registry]:
    store, clock = Store(path), HubClock()
    return store, Registry(store, clock, Records(store, clock))


def test_registry_survives_and_refuses_duplicates(tmp_path):
    path = str(tmp_path / "hub.db")
    store, registry = new_registry(path)
    product = registry.add_product("lamps", kind="gateway")
    device = registry.add_device(product.product_id, "dev01")
    registry.add_topic(product.product_id, "a/b", "both")
    registry.set_enabled(device, False)
    for add_again in (
        lambda: registry.add_product("lamps"),
        lambda: registry.add_device(product.product_id, "dev01"),
        lambda: registry.add_topic(product.product_id, "a/b", "pub"),
        lambda: registry.add_topic(product.product_id, "event", "pub"),
    ):
        with pytest.raises(RegistryError) as caught:
            add_again()
        assert caught.value.code == "conflict"
    store.close()

    _, again = new_registry(path)
    assert again.products == registry.products
    restored = again.device(product.product_id, "dev01")
    assert (restored.secret, restored.enabled) == (device.secret, False)
    again.remove_topic(product.product_id, "a/b")
    assert "a/b" not in again.product(product.product_id).topics
    with pytest.raises(RegistryError, match="default topic"):
        again.remove_topic(product.product_id, "event")


def test_every_change_is_there_after_a_restart(tmp_path):
    path = str(tmp_path / "hub.db")
    _, registry = new_registry(path)
    lamps = registry.add_product("lamps")
    certified = registry.add_product("certified", auth="cert")
    one, two = lamps.product_id, certified.product_id
    changes: list[Callable[[], object]] = [
        lambda: registry.add_topic(one, "a/b", "pub"),
        lambda: registry.change_topic(one, "a/b", "a/c", "pub"),
        lambda: registry.change_topic(one, "a/c", "a/c", "both"),
        lambda: registry.add_topic(one, "a/d", "sub"),
        lambda: registry.remove_topic(one, "a/d"),
        lambda: registry.add_device(one, "dev01"),
        lambda: registry.set_secret(lamps.devices["dev01"], base64.b64encode(b"k" * 16).decode()),
        lambda: registry.set_enabled(lamps.devices["dev01"], False),
        lambda: registry.set_registration(one, "preset", 3),
        lambda: registry.add_device(two, "dev01", b"a certificate", registered=True),
        lambda: registry.set_certificate(certified.devices["dev01"], b"another"),
        lambda: registry.set_authority(two, b"an authority"),
        lambda: registry.remove_device(lamps.devices["dev01"]),
        lambda: registry.remove_product(lamps),
    ]
    for number, change in enumerate(changes):
        before = copy.deepcopy(registry.products)
        events = event_count(path)
        change()
        assert registry.products != before, number
        store, again = new_registry(path)
        assert again.products == registry.products, number
        assert again.authorities == registry.authorities, number
        store.close()
        assert event_count(path) == events + 1, number
    assert registry.authorities == [b"an authority"]


def event_count(path: str) -> int:
    """Those that are committed."""
    with sqlite3.connect(path) as other:
        return other.execute("SELECT COUNT(*) FROM event").fetchone()[0]


def test_a_secret_of_ones_own_is_base64_of_a_length_that_devices_have(tmp_path):
    _, registry = new_registry(":memory:")
    product_id = registry.add_product("lamps").product_id
    device = registry.add_device(product_id, "dev01")
    for size in (16, 48):
        secret = base64.b64encode(b"k" * size).decode()
        registry.set_secret(device, secret)
        assert device.secret == secret
        assert registry.add_device(product_id, f"dev{size}", secret=secret).secret == secret
    for bad in ("", "a" * 23, "-" * 24, *(base64.b64encode(bytes(n)).decode() for n in (15, 49))):
        with pytest.raises(RegistryError, match="a device secret"):
            registry.set_secret(device, bad)
        with pytest.raises(RegistryError, match="a device secret"):
            registry.add_device(product_id, "other", secret=bad)
    assert device.secret == secret
    certified = registry.add_product("certified", auth="cert").product_id
    with pytest.raises(RegistryError, match="logs in by certificate"):
        registry.set_secret(registry.add_device(certified, "dev01"), secret)


def test_a_product_has_a_hundred_topics():
    _, registry = new_registry(":memory:")
    product = registry.add_product("lamps")
    for number in range(MAX_TOPICS_PER_PRODUCT - len(product.topics)):
        registry.add_topic(product.product_id, f"a/{number}", "pub")
    with pytest.raises(RegistryError) as caught:
        registry.add_topic(product.product_id, "a/more", "pub")
    assert caught.value.code == "limit"
    assert len(product.topics) == MAX_TOPICS_PER_PRODUCT


def test_secrets_are_16_bytes_and_never_in_a_repr(tmp_path):
    _, registry = new_registry(":memory:")
    product = registry.add_product("lamps")
    device = registry.add_device(product.product_id, "dev01")
    assert device.secret is not None and product.secret is not None
    assert len(base64.b64decode(device.secret)) == 16
    assert device.secret not in repr(device)
    assert product.secret not in repr(product) and device.secret not in repr(product)
    certified = registry.add_product("certified", auth="cert")
    assert registry.add_device(certified.product_id, "dev01").secret is None


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a;b", "a+", "\u6e29", "d" * 49])
def test_device_names_refused(name):
    _, registry = new_registry(":memory:")
    product = registry.add_product("lamps")
    with pytest.raises(RegistryError) as caught:
        registry.add_device(product.product_id, name)
    assert caught.value.code == "invalid"


def new_faults() -> Faults:
    return Faults(Records(Store(":memory:"), HubClock()))


def test_faults_strike_whom_and_as_often_as_asked():
    faults = new_faults()
    assert not faults.armed
    faults.arm("puback_late", "P/a", 2, {"delay_ms": 7})
    assert faults.armed
    assert faults.take("puback_late", "P/b") is None
    assert [faults.delay_ms("puback_late", "P/a") for _ in range(3)] == [7, 7, 0]
    assert not faults.armed
    faults.arm("puback_withhold", None, None, {})
    assert [faults.pubacks("P/a", 9) for _ in range(5)] == [[]] * 5
    faults.clear()
    assert not faults.armed
    assert faults.pubacks("P/a", 9) == [(0, 9)]


def test_wrong_packet_id_is_one_the_device_did_not_use():
    faults = new_faults()
    faults.arm("puback_wrong_id", None, 2, {})
    assert faults.pubacks("P/a", 65535) == [(0, 1)]
    assert faults.pubacks("P/a", 1) == [(0, 2)]


@pytest.mark.parametrize(
    ("kind", "count", "parameters", "field"),
    [
        ("unknown", 1, {}, "kind"),
        ("delay", 0, {}, "count"),
        ("delay", 1, {"delay_ms": -1}, "delay_ms"),
        ("delay", 1, {"delay_ms": "1"}, "delay_ms"),
        ("delay", 1, {"delay_ms": True}, "delay_ms"),
        ("delay", 1, {"other": 1}, "other"),
        ("connack", 1, {"code": 0}, "code"),
    ],
)
def test_faults_that_make_no_sense_are_refused(kind, count, parameters, field):
    with pytest.raises(FaultError, match=field):
        new_faults().arm(kind, None, count, parameters)


def test_registration_and_an_own_authority_outlive_the_process(tmp_path):
    path = str(tmp_path / "hub.db")
    store, registry = new_registry(path)
    product = registry.add_product("certified", "cert")
    assert (product.registration, product.registration_limit) == ("off", 0)
    registry.set_registration(product.product_id, "auto", 7)
    registry.set_authority(product.product_id, b"authority")
    registry.add_device(product.product_id, "made", b"one", registered=True)
    registry.set_certificate(product.devices["made"], b"two")
    store.close()
    store, registry = new_registry(path)
    kept = registry.product(product.product_id)
    assert (kept.registration, kept.registration_limit) == ("auto", 7)
    assert kept.authority == b"authority"
    assert registry.authorities == [b"authority"]
    assert kept.devices["made"].registered and kept.devices["made"].certificate == b"two"
    store.close()


@pytest.mark.parametrize(("mode", "limit"), [("on", 1), ("auto", -1), ("auto", 10_001)])
def test_a_registration_that_makes_no_sense_is_refused(mode, limit):
    registry = new_registry(":memory:")[1]
    product = registry.add_product("lamps")
    with pytest.raises(RegistryError):
        registry.set_registration(product.product_id, mode, limit)
    with pytest.raises(RegistryError, match="log in by key"):
        registry.set_authority(product.product_id, b"authority")
