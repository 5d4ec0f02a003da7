"""Gateways and their sub-devices: signatures, bindings, presence, each code."""

import base64
import hashlib
import hmac
import json

import pytest

from host_tests.unit.hub.service_bench import START_MS, ServiceBench
from tools.hub.identity import Identity
from tools.hub.presence import StateChange
from tools.hub.registry import RegistryError
from tools.hub.services.binding_signature import is_signed
from tools.hub.services.gateway_messages import MAX_DEVICES_PER_REQUEST, SIGNATURE_VALID_S
from tools.hub.services.topology import MAX_SUB_DEVICES, GatewayRefused
from tools.pki.issuing import issue, make_authority

NOW_S = START_MS // 1000


@pytest.fixture
def bench():
    return ServiceBench()


@pytest.fixture
def gateway(bench):
    return bench.new_device("gateway").identity


@pytest.fixture
def meter(bench):
    return bench.new_device(online=False)


def named(device):
    return {"product_id": device.product_id, "device_name": device.device_name}


def signed(device, key: bytes, authtype="psk", method="sha1", timestamp=NOW_S, **changes):
    """An entry as the SDKs sign it."""
    text = f"{device.product_id}{device.device_name};121213;{timestamp}"
    signature = base64.b64encode(hmac.new(key, text.encode(), method).digest()).decode()
    return {
        **named(device),
        "signature": signature,
        "random": 121213,
        "timestamp": timestamp,
        "signmethod": "hmac" + method,
        "authtype": authtype,
        **changes,
    }


def ask(bench, gateway, kind, *entries):
    """The results of a request."""
    answer = bench.ask("gateway", gateway, {"type": kind, "payload": {"devices": list(entries)}})
    assert answer["type"] == kind and set(answer) == {"type", "payload"}
    devices = answer["payload"]["devices"]
    assert len(devices) == len(entries)
    return [each["result"] for each in devices]


def bind(bench, gateway, device):
    return ask(bench, gateway, "bind", signed(device.identity, device.secret.encode()))


def online(bench, gateway, device):
    assert bind(bench, gateway, device) == [0]
    assert ask(bench, gateway, "online", named(device.identity)) == [0]


def test_the_published_vector_of_the_sdks_form():
    # PROTOCOL.md 0: computed apart from this hub.
    arguments = (Identity("PRODUCTID1", "dev01"), 121213, 1589786839)
    keys = [b"lDZ6Uqt+I9E0wW7rvDUs7Q=="]
    assert is_signed("gk03D2mFxuq+2MpW5Bdyq6zpsLw=", keys, "hmacsha1", *arguments)
    sha256 = "tGoFtyrd15STSEiZm2vb4OrHVqq0xHo5ZnywC8ZMTZI="
    assert is_signed(sha256, keys, "hmacsha256", *arguments)
    assert not is_signed(sha256, keys, "hmacsha1", *arguments)
    decoded = [base64.b64decode(keys[0])]
    assert not is_signed("gk03D2mFxuq+2MpW5Bdyq6zpsLw=", decoded, "hmacsha1", *arguments)


@pytest.mark.parametrize("method", ["sha1", "sha256"])
@pytest.mark.parametrize("form", ["sdk", "documents"])
@pytest.mark.parametrize("written", ["base64", "hex"])
def test_every_reading_of_the_signature_is_taken(bench, gateway, meter, method, form, written):
    identity = meter.identity
    text = f"{identity.product_id}{identity.device_name};7;{NOW_S}"
    if form == "documents":
        text = text.replace(f";{NOW_S}", str(NOW_S))
    made = hmac.new(meter.secret.encode(), text.encode(), method)
    signature = made.hexdigest()
    if written == "base64":
        signature = base64.b64encode(made.digest()).decode()
    entry = signed(identity, b"", method=method, random=7, signature=signature)
    assert ask(bench, gateway, "bind", entry) == [0]
    assert bench.services.topology.gateway_of(identity) == gateway


@pytest.mark.parametrize("key", ["sha1", "sha1 in hex", "md5 of the PEM", "md5 of the DER"])
def test_every_reading_of_a_certificates_key_is_taken(bench, gateway, key):
    credential = issue(make_authority("test"), "device", "meter")
    der, pem = credential.certificate_der, credential.certificate_pem
    product = bench.registry.add_product("certified", "cert")
    device = bench.registry.add_device(product.product_id, "meter", der).identity
    keys = {
        "sha1": hashlib.sha1(der).digest(),
        "sha1 in hex": hashlib.sha1(der).hexdigest().encode(),
        "md5 of the PEM": hashlib.md5(pem).hexdigest().encode(),
        "md5 of the DER": hashlib.md5(der).hexdigest().encode(),
    }
    entry = signed(device, keys[key], authtype="certificate")
    assert ask(bench, gateway, "bind", entry | {"authtype": "psk"}) == [803]
    assert ask(bench, gateway, "bind", entry) == [0]


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"signature": None}, 801),
        ({"signature": 5}, 801),
        ({"signature": "\ud800"}, 801),
        ({"random": "121213"}, 801),
        ({"random": True}, 801),
        ({"timestamp": None}, 801),
        ({"timestamp": 1.5}, 801),
        ({"authtype": None}, 801),
        ({"authtype": "password"}, 801),
        ({"authtype": ["psk"]}, 801),
        ({"product_id": 5}, 802),
        ({"device_name": ""}, 802),
        ({"device_name": "a/b"}, 802),
        ({"device_name": "nobody"}, 802),
        ({"product_id": "NOSUCHPROD"}, 802),
        ({"signature": ""}, 803),
        ({"random": 121214}, 803),
        ({"timestamp": NOW_S - 1}, 803),
        ({"authtype": "certificate"}, 803),
        ({"signmethod": None}, 804),
        ({"signmethod": ["hmacsha1"]}, 804),
        ({"signmethod": "hmacmd5"}, 804),
    ],
    ids=str,
)
def test_bindings_that_are_refused(bench, gateway, meter, changes, result):
    entry = signed(meter.identity, meter.secret.encode()) | changes
    assert ask(bench, gateway, "bind", entry) == [result]
    assert bench.services.topology.sub_devices(gateway) == []
    assert bench.actions(gateway)[-1]["result"] == result


@pytest.mark.parametrize("entry", [None, 5, "text", [], {}, {"device_name": {}}], ids=repr)
def test_what_names_no_device(bench, gateway, entry):
    for kind in ("bind", "unbind", "online", "offline"):
        assert ask(bench, gateway, kind, entry) == [802]


@pytest.mark.parametrize("method", ["sha1", "sha256"])
def test_a_wrong_key_is_refused(bench, gateway, meter, method):
    key = base64.b64decode(meter.secret)
    assert ask(bench, gateway, "bind", signed(meter.identity, key, method=method)) == [803]


def test_a_signature_expires(bench, gateway, meter):
    key = meter.secret.encode()
    for timestamp, result in (
        (0, 805),
        (NOW_S - SIGNATURE_VALID_S - 1, 805),
        (NOW_S - SIGNATURE_VALID_S, 0),
        # An expiry, as the documents' text calls it, is in the future.
        (NOW_S + 86400, 0),
    ):
        assert ask(bench, gateway, "bind", signed(meter.identity, key, timestamp=timestamp)) == [
            result
        ]
        if result == 0:
            bench.services.topology.unbind(meter.identity)


def test_who_is_bound_elsewhere_or_already(bench, gateway, meter):
    other = bench.new_device("gateway").identity
    assert bind(bench, gateway, meter) == [0]
    assert bind(bench, gateway, meter) == [809]
    assert bind(bench, other, meter) == [806]
    assert ask(bench, other, "unbind", named(meter.identity)) == [-1]
    assert ask(bench, gateway, "unbind", named(meter.identity)) == [0]
    assert ask(bench, gateway, "unbind", named(meter.identity)) == [-1]
    assert bind(bench, other, meter) == [0]


def test_only_normal_devices_are_bound_and_only_to_gateways(bench, gateway, meter):
    second = bench.new_device("gateway", online=False)
    assert bind(bench, gateway, second) == [807]
    assert bind(bench, gateway, bench.registry.device(*gateway)) == [807]
    normal = bench.new_device().identity
    for kind in ("bind", "unbind", "online", "offline"):
        entry = signed(meter.identity, meter.secret.encode())
        assert ask(bench, normal, kind, entry) == [808]
    assert bench.ask("gateway", normal, {"type": "describe_sub_devices"})["payload"] == {
        "devices": []
    }


def test_a_disabled_device_is_not_supported(bench, gateway, meter):
    bench.registry.set_enabled(meter, False)
    assert bind(bench, gateway, meter) == [810]
    bench.registry.set_enabled(meter, True)
    assert bind(bench, gateway, meter) == [0]
    bench.registry.set_enabled(meter, False)
    assert ask(bench, gateway, "online", named(meter.identity)) == [810]
    assert not bench.presence.is_online(meter.identity)


def test_online_and_offline(bench, gateway, meter):
    changes: list[StateChange] = []
    bench.presence.observers.append(lambda change: 1 / 0)
    bench.presence.observers.append(changes.append)
    entry = named(meter.identity)
    assert ask(bench, gateway, "online", entry) == [-1]
    assert ask(bench, gateway, "offline", entry) == [-1]
    assert bind(bench, gateway, meter) == [0]
    assert ask(bench, gateway, "offline", entry) == [0]
    assert ask(bench, gateway, "online", entry, entry) == [0, 0]
    assert bench.presence.gateway_of(meter.identity) == gateway
    assert ask(bench, gateway, "offline", entry) == [0]
    assert ask(bench, gateway, "online", entry) == [0]
    assert ask(bench, gateway, "unbind", entry) == [0]
    assert not bench.presence.is_online(meter.identity)
    assert [(each.device, each.online, each.gateway) for each in changes] == [
        (meter.identity, state, gateway) for state in (True, False, True, False)
    ]
    rows = bench.store.query("SELECT detail FROM event WHERE kind = 'state' ORDER BY id")
    assert [json.loads(detail)["online"] for (detail,) in rows] == [True, False, True, False]


def test_sub_devices_go_with_their_gateway(bench, gateway, meter):
    online(bench, gateway, meter)
    bench.presence.disconnected(gateway)
    assert not bench.presence.is_online(meter.identity)
    assert bench.services.topology.gateway_of(meter.identity) == gateway
    # Asked another way than by its connection.
    bench.presence.connected(gateway)
    assert ask(bench, gateway, "online", named(meter.identity)) == [0]


def test_a_device_has_one_way_at_a_time(bench, gateway, meter):
    online(bench, gateway, meter)
    bench.presence.connected(meter.identity)
    assert bench.presence.is_connected(meter.identity)
    assert bench.presence.gateway_of(meter.identity) is None
    assert ask(bench, gateway, "online", named(meter.identity)) == [-2]
    bench.presence.disconnected(meter.identity)
    assert ask(bench, gateway, "online", named(meter.identity)) == [0]


def test_the_listing_has_the_documents_shape(bench, gateway, meter):
    second = bench.new_device(online=False)
    for device in (meter, second):
        assert bind(bench, gateway, device) == [0]
        bench.clock.moved_ms += 1
    assert bench.ask("gateway", gateway, {"type": "describe_sub_devices"}) == {
        "type": "describe_sub_devices",
        "payload": {"devices": [named(meter.identity), named(second.identity)]},
    }


def test_results_come_for_each_device(bench, gateway, meter):
    second = bench.new_device(online=False)
    entries = [
        signed(meter.identity, meter.secret.encode()),
        signed(second.identity, b"wrong"),
        {"product_id": "x", "device_name": "温度"},
    ]
    request = {"type": "bind", "payload": {"devices": entries}}
    assert bench.ask("gateway", gateway, request)["payload"]["devices"] == [
        {**named(meter.identity), "result": 0},
        {**named(second.identity), "result": 803},
        {"product_id": "x", "device_name": "", "result": 802},
    ]


@pytest.mark.parametrize(
    "request_",
    [
        b"no JSON",
        [],
        {},
        {"type": 5},
        {"type": "unknown"},
        {"type": "bind"},
        {"type": "bind", "payload": []},
        {"type": "bind", "payload": {}},
        {"type": "online", "payload": {"devices": {}}},
        {"type": "online", "payload": {"devices": []}},
        {"type": "online", "payload": {"devices": [{}] * (MAX_DEVICES_PER_REQUEST + 1)}},
    ],
    ids=lambda each: str(each)[:60],
)
def test_what_cannot_be_answered_is_recorded(bench, gateway, request_):
    assert bench.ask("gateway", gateway, request_) is None
    assert bench.actions(gateway)[-1]["action"] == "refused"


def test_the_application_binds_and_the_gateway_hears(bench, gateway, meter):
    topology = bench.services.topology
    topic = f"$gateway/operation/result/{gateway.path}"
    topology.bind_all(gateway, [meter.identity])
    bound = {"status": 1, "devices": [named(meter.identity)]}
    assert bench.sent.pop() == (gateway, topic, {"type": "change", "payload": bound}, 1)
    assert ask(bench, gateway, "online", named(meter.identity)) == [0]
    topology.unbind_each(gateway, [meter.identity])
    assert bench.sent.pop()[2] == {"type": "change", "payload": bound | {"status": 0}}
    assert not bench.presence.is_online(meter.identity)
    topology.bind_all(gateway, [meter.identity])
    assert bench.actions(meter.identity)[-1]["action"] == "bound"
    assert ask(bench, gateway, "online", named(meter.identity)) == [0]
    assert topology.unbind_all(gateway) == [meter.identity]
    assert bench.sent.pop()[2] == {"type": "unbind_all"}
    assert topology.sub_devices(gateway) == []
    assert not bench.presence.is_online(meter.identity)
    assert bench.actions(meter.identity)[-1]["action"] == "unbound"
    assert ask(bench, gateway, "online", named(meter.identity)) == [-1]
    topology.search(gateway, True)
    assert bench.sent.pop()[2] == {"type": "search_devices", "payload": {"status": 1}}
    topology.search(gateway, False)
    assert bench.sent.pop()[2] == {"type": "search_devices", "payload": {"status": 0}}


@pytest.mark.parametrize(
    "acknowledgement",
    [
        {"type": "change", "result": 0},
        {"type": "change", "payload": {"status": 0, "devices": [{"result": 0}]}},
        {"type": "unbind_all", "payload": {"result": 0}},
        {"type": "search_devices", "payload": {"status": 1, "result": 0}},
    ],
    ids=str,
)
def test_acknowledgements_are_recorded(bench, gateway, acknowledgement):
    assert bench.ask("gateway", gateway, acknowledgement) is None
    assert bench.actions(gateway)[-1]["action"] == acknowledgement["type"] + " acknowledged"


def test_what_the_application_may_not(bench, gateway, meter):
    topology = bench.services.topology
    nobody = Identity(meter.identity.product_id, "nobody")
    for device, code in ((gateway, 807), (nobody, 802)):
        with pytest.raises(GatewayRefused) as refused:
            topology.bind_all(gateway, [meter.identity, device])
        assert refused.value.result == code
        assert topology.sub_devices(gateway) == []  # all or nothing
    with pytest.raises(GatewayRefused) as refused:
        topology.bind_all(meter.identity, [meter.identity])
    assert (refused.value.result, refused.value.code) == (808, "forbidden")
    with pytest.raises(RegistryError, match="no device"):
        topology.bind_all(nobody, [])
    with pytest.raises(GatewayRefused) as refused:
        topology.unbind_each(gateway, [meter.identity])
    assert refused.value.result == -1
    bench.presence.disconnected(gateway)
    with pytest.raises(RegistryError) as offline:
        topology.search(gateway, True)
    assert offline.value.code == "offline"


def test_a_gateway_has_a_limit(bench, gateway):
    product = bench.registry.add_product("many")
    devices = [
        bench.registry.add_device(product.product_id, f"{number:048}").identity
        for number in range(MAX_SUB_DEVICES + 1)
    ]
    topology = bench.services.topology
    with pytest.raises(GatewayRefused) as refused:
        topology.bind_all(gateway, devices)
    assert refused.value.result == 808
    topology.bind_all(gateway, devices[:-1])
    last = bench.registry.device(*devices[-1])
    assert bind(bench, gateway, last) == [808]
    # The bench checks that every answer fits in a packet.
    listed = bench.ask("gateway", gateway, {"type": "describe_sub_devices"})
    assert len(listed["payload"]["devices"]) == MAX_SUB_DEVICES
    entries = [named(device) for device in devices[:MAX_DEVICES_PER_REQUEST]]
    assert set(ask(bench, gateway, "online", *entries)) == {0}


def test_bindings_outlive_the_hub_and_presence_does_not(tmp_path):
    bench = ServiceBench(str(tmp_path / "hub.db"))
    gateway, meter = bench.new_device("gateway").identity, bench.new_device(online=False)
    online(bench, gateway, meter)
    bench.store.close()
    again = ServiceBench(str(tmp_path / "hub.db"))
    assert again.services.topology.sub_devices(gateway) == [meter.identity]
    assert not again.presence.is_online(meter.identity)


def test_removed_devices_are_unbound(bench, gateway, meter):
    online(bench, gateway, meter)
    bench.registry.remove_device(meter)
    assert bench.sent[-1][2]["payload"]["status"] == 0
    assert bench.services.topology.sub_devices(gateway) == []
    second = bench.new_device(online=False)
    online(bench, gateway, second)
    bench.registry.remove_device(bench.registry.device(*gateway))
    assert not bench.presence.is_online(second.identity)
    assert bench.services.topology.gateway_of(second.identity) is None
    assert bench.store.query("SELECT * FROM binding") == []


def test_a_fault_refuses_every_device(bench, gateway, meter):
    bench.faults.arm("gateway_refuse", gateway.path, 1, {"code": -2})
    entry = signed(meter.identity, meter.secret.encode())
    assert ask(bench, gateway, "bind", entry) == [-2]
    assert ask(bench, gateway, "bind", entry) == [0]
