"""Every field of what devices say to the services, in turn, as the values that programs trip over:
none ends in an error of the hub's, nor in a record that the database refuses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from host_tests.unit.hub.service_bench import ServiceBench
from tools.hub.ota.messages import OtaMessages
from tools.hub.ota.updates import Updates

VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 10**30, -(10**30), float("nan"), float("inf")),
    *("", "a", "\0", "\ud800", "-", "--5", "5-", "٣", "²", "1" * 4, "1" * 5000, "é" * 300),
    *([], [None], ["\ud800"], [[]] * 3),
    *({}, {"": 1}, {"\ud800": 1}, {"a": "\ud800"}, {"a": None}, {"a": [None]}, {"a": 10**400}),
    *({"timestamp": 5}, {"a": {"timestamp": 5}}, {"a": {"timestamp": {"b": 1}}}),
)
REPORT = {"version": "1", "progress": {"state": "fail", "percent": "5", "result_code": "0"}}
BINDING = {"signature": "x", "random": 1, "timestamp": 1, "signmethod": "hmacsha1"}
MESSAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "get": ("shadow", {"type": "get", "clientToken": "x"}),
    "update": (
        "shadow",
        {"type": "update", "clientToken": "x", "state": {"reported": {"a": 1}, "desired": None}}
        | {"version": 0, "overwriteUpdate": False},
    ),
    **{
        kind: ("gateway", {"type": kind, "payload": {"devices": [{"authtype": "psk"} | BINDING]}})
        for kind in ("bind", "unbind", "online", "offline", "describe_sub_devices", "change")
    },
    "config": ("config", {"type": "get"}),
    "log": ("log", {"type": "get_log_level", "clientToken": "x"}),
    "time": ("sys", {"type": "get", "resource": ["time"]}),
    "version": ("ota", {"type": "report_version", "report": {"version": "1"}}),
    "progress": ("ota", {"type": "report_progress", "report": REPORT}),
}
Path = tuple[Any, ...]


@pytest.mark.parametrize("name", MESSAGES)
def test_no_value_of_a_field_is_an_error_of_the_hubs(name):
    family, message = MESSAGES[name]
    bench = ServiceBench()
    gateway, meter = bench.new_device(kind="gateway"), bench.new_device()
    if family == "gateway":
        entry = message["payload"]["devices"][0]
        names = meter.identity._asdict()
        message = message | {"payload": {"devices": [entry | names]}}
    services = dict(bench.services.by_family)
    services["ota"] = OtaMessages(bench.context, Updates(bench.context))
    topic = f"${family}/operation/{gateway.identity.path}"
    for path in paths(message):
        for value in VALUES:
            wrong = json.dumps(replaced(message, path, value)).encode()
            services[family].handle(gateway.identity, topic, wrong)
            bench.store.flush()


def paths(value: Any, above: Path = ()) -> Iterator[Path]:
    """Of a value and of all that is in it."""
    yield above
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*above, key))


def replaced(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy
