"""Shadows: the documents' examples, each rule and each refusal."""

import json
from typing import Any

import pytest

from host_tests.unit.hub.service_bench import START_MS, ServiceBench
from tools.hub.registry import RegistryError
from tools.hub.services.messages import encode
from tools.hub.services.shadow_document import MAX_STATE_BYTES, MAX_STATE_LEVELS, ShadowDocument
from tools.hub.services.shadows import ShadowRefused, ShadowUpdate


@pytest.fixture
def bench():
    return ServiceBench()


@pytest.fixture
def device(bench):
    return bench.new_device().identity


def get(bench, device):
    return bench.ask("shadow", device, {"type": "get", "clientToken": "get-1"})


def update(bench, device, state, **fields):
    request = {"type": "update", "state": state, "clientToken": "t"} | fields
    return bench.ask("shadow", device, request)


def test_the_documents_example(bench, device):
    shadows = bench.services.shadows
    for _ in range(12):
        update(bench, device, {"reported": {"temperature": 0}})
    update(bench, device, {"reported": {"temperature": 32}})
    shadows.update_desired(device, {"alarmvalue": "50"})
    assert bench.ask("shadow", device, {"type": "get", "clientToken": 8480}) == {
        "clientToken": "8480",
        "payload": {
            "state": {
                "delta": {"alarmvalue": "50"},
                "desired": {"alarmvalue": "50"},
                "reported": {"temperature": 32},
            },
            "timestamp": START_MS,
            "version": 14,
        },
        "result": 0,
        "timestamp": START_MS // 1000,
        "type": "get",
    }
    bench.clock.moved_ms += 1
    assert update(bench, device, {"reported": {"temperature": 35}}, version=0) == {
        "clientToken": "t",
        "payload": {
            "state": {"reported": {"temperature": 35}},
            "timestamp": START_MS + 1,
            "version": 15,
        },
        "result": 0,
        "timestamp": START_MS + 1,
        "type": "update",
    }
    assert update(bench, device, {"reported": {"temperature": 36}}, version=14) == {
        "clientToken": "t",
        "payload": {
            "state": {"desired": {"alarmvalue": "50"}, "reported": {"temperature": 35}},
            "timestamp": START_MS + 1,
            "version": 15,
        },
        "result": 5005,
        "timestamp": START_MS + 1,
        "type": "update",
    }
    cleared = update(bench, device, {"desired": None})
    assert cleared["payload"]["state"] == {"desired": None} and cleared["result"] == 0
    assert get(bench, device)["payload"]["state"] == {"reported": {"temperature": 35}}


def test_a_new_device_has_a_blank_document(bench, device):
    assert get(bench, device)["payload"] == {"state": {}, "timestamp": 0, "version": 0}


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ({}, {"a": 1}, {"a": 1}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
        ({"a": 1}, {"missing": None}, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 5, "d": 6}}, {"a": {"b": 5, "c": 2, "d": 6}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": 1}, {"a": {"b": 1, "gone": None}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": 7}, {"a": 7}),
        ({"a": [1, 2, 3]}, {"a": [4]}, {"a": [4]}),
        ({"a": [1]}, {"a": []}, {"a": []}),
        ({"a": True}, {"a": "温度"}, {"a": "温度"}),
    ],
)
@pytest.mark.parametrize("part", ["reported", "desired"])
def test_changes_are_merged(part, before, changes, after):
    document = ShadowDocument().updated({part: before}, 1).updated({part: changes}, 2)
    assert getattr(document, part) == after
    assert document.version == 2


def test_metadata_has_the_time_of_each_value():
    document = ShadowDocument().updated(
        {"reported": {"a": 1, "b": {"c": [1], "timestamp": 5}}, "desired": {"d": 1}}, 10
    )
    document = document.updated({"reported": {"b": {"c": [2]}}, "desired": None}, 20)
    assert document.metadata == {
        "reported": {
            "a": {"timestamp": 10},
            "b": {"c": {"timestamp": 20}, "timestamp": {"timestamp": 10}},
        }
    }
    document = document.updated({"reported": {"b": 3}}, 30).updated({"reported": {"a": None}}, 40)
    assert document.metadata == {"reported": {"b": {"timestamp": 30}}}
    nested = document.updated({"reported": {"b": {"e": 1}}}, 50)
    assert nested.metadata == {"reported": {"b": {"e": {"timestamp": 50}}}}


def test_the_delta_is_what_differs():
    document = ShadowDocument().updated(
        {
            "reported": {"a": 1, "b": {"c": 1, "d": 2}, "e": [1], "f": 1, "g": 1},
            "desired": {"a": 1, "b": {"c": 1, "d": 3}, "e": [1, 2], "f": True, "h": {}},
        },
        1,
    )
    assert document.delta() == {"b": {"d": 3}, "e": [1, 2], "f": True, "h": {}}
    assert document.state(with_delta=True)["delta"] == document.delta()


def test_a_device_that_is_online_gets_the_delta(bench, device):
    document = bench.services.shadows.update_desired(device, {"a": 1, "b": None})
    delta = {
        "payload": {"state": {"a": 1, "b": None}, "timestamp": START_MS, "version": 1},
        "timestamp": START_MS,
        "type": "delta",
    }
    assert bench.sent == [(device, f"$shadow/operation/result/{device.path}", delta, 1)]
    # Emptied as a whole, the delta says so key by key.
    bench.services.shadows.update_desired(device, None, document.version)
    assert bench.sent[-1][2]["payload"]["state"] == {"a": None}


def test_a_device_that_is_offline_fetches_it(bench, device):
    bench.presence.disconnected(device)
    bench.services.shadows.update_desired(device, {"a": 1})
    assert bench.sent == []
    bench.presence.connected(device)
    assert get(bench, device)["payload"]["state"]["delta"] == {"a": 1}


def test_versions_of_the_application(bench, device):
    shadows = bench.services.shadows
    assert shadows.update_desired(device, {"a": 1}).version == 1
    assert shadows.update_desired(device, {"a": 2}, 1).version == 2
    with pytest.raises(ShadowRefused) as refused:
        shadows.update_desired(device, {"a": 3}, 1)
    assert (refused.value.result, refused.value.code) == (5005, "conflict")
    assert shadows.get(device).desired == {"a": 2}


def test_a_deleted_shadow_keeps_counting(bench, device):
    shadows = bench.services.shadows
    update(bench, device, {"reported": {"a": 1}})
    assert shadows.delete(device).version == 2
    assert get(bench, device) == {
        "clientToken": "get-1",
        "payload": {},
        "result": 5001,
        "timestamp": START_MS // 1000,
        "type": "get",
    }
    with pytest.raises(ShadowRefused, match="deleted"):
        shadows.delete(device)
    # Based on what is no longer there: the whole document, which is empty.
    conflict = update(bench, device, {"reported": {"b": 1}}, version=1)
    assert conflict["result"] == 5005
    assert conflict["payload"] == {"state": {}, "timestamp": START_MS, "version": 2}
    assert update(bench, device, {"reported": {"b": 1}}, version=2)["result"] == 0
    assert get(bench, device)["payload"]["state"] == {"reported": {"b": 1}}


DEEP: dict[str, Any] = {}
_inner = DEEP
for _ in range(MAX_STATE_LEVELS):
    _inner["a"] = {}
    _inner = _inner["a"]


BAD_STATES: list[Any] = [
    None,
    [],
    {},
    {"reported": 1},
    {"reported": {}, "other": {}},
    {"delta": {}},
    {"reported": {"a": [None]}},
    {"reported": {"a": [{"b": None}]}},
    {"reported": {"a": [[None]]}},
    {"reported": DEEP},
    {"desired": {"a": 1}},
    {"desired": {"a": None, "b": {"c": 1}}},
    {"desired": "no"},
]


@pytest.mark.parametrize(
    ("request_", "result"),
    [
        ({"clientToken": "t"}, 5000),
        ({"type": "get"}, 5000),
        ({"type": "update", "clientToken": "t"}, 5000),
        ({"type": "delete", "clientToken": "t"}, 5004),
        ({"type": ["get"], "clientToken": "t"}, 5004),
        ({"type": "get", "clientToken": {}}, 5004),
        ({"type": "get", "clientToken": True}, 5004),
        ({"type": "get", "clientToken": "t" * 129}, 5004),
        *(({"type": "update", "clientToken": "t", "state": state}, 5004) for state in BAD_STATES),
        *(
            ({"type": "update", "clientToken": "t", "state": {"reported": {}}} | fields, 5004)
            for fields in (
                {"version": -1},
                {"version": "1"},
                {"version": True},
                {"version": 1.0},
                {"version": None},
                {"overwriteUpdate": 1},
            )
        ),
        (
            {
                "type": "update",
                "clientToken": "t",
                "state": {"reported": {"a": "x" * MAX_STATE_BYTES}},
            },
            5011,
        ),
    ],
    ids=str,
)
def test_refusals(bench, device, request_, result):
    update(bench, device, {"reported": {"before": 1}})
    answer = bench.ask("shadow", device, request_)
    assert answer["result"] == result
    assert answer["payload"] == {}
    assert bench.actions(device)[-1]["result"] == result
    assert bench.services.shadows.get(device).state(True) == {"reported": {"before": 1}}
    assert bench.services.shadows.get(device).version == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b"[" * 5000,
        b'{"a":' * 3000,
        b"1" * 5000,
        b'"text"',
    ],
    ids=repr,
)
def test_what_is_no_object_is_recorded(bench, device, payload):
    assert bench.ask("shadow", device, payload) is None
    assert bench.actions(device)[-1]["reason"] == "not a JSON object"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"update","clientToken":"t","state":{"reported":{"a":1e999}}}',
        b'{"type":"update","clientToken":"t","state":{"reported":{"a":NaN}}}',
        b'{"type":"update","clientToken":"t","state":{"reported":{"a":"\\ud800"}}}',
        b'{"type":"update","clientToken":"t","state":{"reported":{"\\ud800":1}}}',
        b'{"type":"update","clientToken":"\\ud800","state":{"reported":{"a":1}}}',
    ],
)
def test_what_json_cannot_say_again_is_refused(bench, device, payload):
    assert bench.ask("shadow", device, payload)["result"] == 5004


def test_the_size_counts_both_parts_and_the_delta(bench, device):
    half = "x" * (MAX_STATE_BYTES // 2 - 100)
    update(bench, device, {"reported": {"a": half}})
    bench.services.shadows.update_desired(device, {"b": "y" * 3000})
    with pytest.raises(ShadowRefused) as refused:
        bench.services.shadows.update_desired(device, {"c": "z" * 2000})
    assert refused.value.result == 5011
    answer = get(bench, device)
    assert len(encode(answer["payload"]["state"])) <= MAX_STATE_BYTES
    # The largest of all, which the bench checks to fit in a packet.
    update(bench, device, {"desired": None})
    update(bench, device, {"reported": {"a": "x" * (MAX_STATE_BYTES - 30)}})
    assert len(encode(get(bench, device)["payload"]["state"])) > MAX_STATE_BYTES - 40


def test_one_desired_key_is_cleared_as_the_c_sdk_does(bench, device):
    bench.services.shadows.update_desired(device, {"a": 1, "b": {"c": 1, "d": 2}})
    update(bench, device, {"reported": {"a": 1}, "desired": {"a": None, "b": {"c": None}}})
    assert bench.services.shadows.get(device).desired == {"b": {"d": 2}}


def test_overwriting_as_the_c_sdk_does(bench, device):
    update(bench, device, {"reported": {"a": 1, "b": {"c": 1}}})
    answer = update(bench, device, {"reported": {"b": {"d": 2}}}, overwriteUpdate=True)
    assert answer["result"] == 0
    document = bench.services.shadows.get(device)
    assert document.reported == {"b": {"d": 2}}
    assert document.metadata == {"reported": {"b": {"d": {"timestamp": START_MS}}}}


def test_observers_hear_of_every_change(bench, device):
    heard: list[ShadowUpdate] = []
    shadows = bench.services.shadows
    shadows.observers.append(lambda change: 1 / 0)
    shadows.observers.append(heard.append)
    update(bench, device, {"reported": {"a": 1}})
    update(bench, device, {"reported": {"a": [None]}})
    shadows.update_desired(device, {"b": 2})
    shadows.delete(device)
    assert [(each.by, each.state, each.document.version) for each in heard] == [
        ("device", {"reported": {"a": 1}}, 1),
        ("application", {"desired": {"b": 2}}, 2),
        ("application", None, 3),
    ]


def test_a_shadow_outlives_the_hub(tmp_path):
    bench = ServiceBench(str(tmp_path / "hub.db"))
    first, second = (bench.new_device().identity for _ in range(2))
    update(bench, first, {"reported": {"a": {"b": [1, "温度"]}}})
    bench.services.shadows.update_desired(first, {"c": 1})
    update(bench, second, {"reported": {"a": 1}})
    bench.services.shadows.delete(second)
    before = bench.services.shadows.get(first)
    bench.store.close()
    again = ServiceBench(str(tmp_path / "hub.db"))
    assert again.services.shadows.get(first) == before
    assert again.services.shadows.latest(second).version == 2
    with pytest.raises(ShadowRefused):
        again.services.shadows.get(second)


def test_a_removed_device_takes_its_shadow_along(bench, device):
    update(bench, device, {"reported": {"a": 1}})
    bench.registry.remove_device(bench.registry.device(*device))
    with pytest.raises(RegistryError, match="no device"):
        bench.services.shadows.get(device)
    bench.registry.add_device(*device)
    assert bench.services.shadows.get(device).version == 0
    assert bench.store.query("SELECT * FROM shadow") == []


def test_a_fault_gives_any_code(bench, device):
    bench.faults.arm("shadow_refuse", device.path, 1, {"code": 5100})
    assert update(bench, device, {"reported": {"a": 1}})["result"] == 5100
    assert bench.services.shadows.get(device).version == 0
    bench.faults.arm("answer_withhold", None, 1, {})
    assert update(bench, device, {"reported": {"a": 1}}) is None
    assert bench.services.shadows.get(device).version == 1


def test_what_is_kept_shares_nothing_with_what_was_given(bench, device):
    desired = {"a": [1], "b": {"c": 1}}
    bench.services.shadows.update_desired(device, desired)
    kept = json.dumps(bench.services.shadows.get(device).desired)
    bench.services.shadows.update_desired(device, {"b": {"d": 1}})
    assert json.dumps(desired) == kept == json.dumps({"a": [1], "b": {"c": 1}})
