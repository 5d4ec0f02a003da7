"""Whatever a device publishes to a `$...` service, the service goes on, and says nothing that fits
in no packet (which the bench checks)."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from host_tests.unit.hub.service_bench import ServiceBench

RUNS = 150
SWEEP_RUNS = 5000

WORDS = (
    *("type", "clientToken", "state", "reported", "desired", "delta", "version", "timestamp"),
    *("overwriteUpdate", "payload", "devices", "product_id", "device_name", "signature"),
    *("random", "signmethod", "authtype", "status", "result", "a", "\ud800"),
)
KINDS = (
    *("get", "update", "bind", "unbind", "online", "offline", "describe_sub_devices", "change"),
    *("get_log_level", "psk", "certificate", "hmacsha1", "hmacsha256"),
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-1, 3),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from((*KINDS, "PRODUCTID1", "dev1")),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)
    ),
    max_leaves=20,
)
# Near to what is asked for, so that more than the first look at it is tried.
REQUESTS = st.fixed_dictionaries(
    {"type": st.one_of(st.sampled_from(KINDS), VALUES)},
    optional={
        "clientToken": st.one_of(st.text(max_size=4), VALUES),
        "state": st.one_of(
            st.dictionaries(st.sampled_from(("reported", "desired")), VALUES), VALUES
        ),
        "version": st.one_of(st.integers(0, 2), VALUES),
        "payload": st.one_of(
            st.fixed_dictionaries(
                {
                    "devices": st.lists(
                        st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=7), max_size=3
                    )
                }
            ),
            VALUES,
        ),
    },
)
PAYLOADS = st.one_of(
    st.binary(max_size=64),
    VALUES.map(lambda value: json.dumps(value).encode()),
    REQUESTS.map(lambda value: json.dumps(value).encode()),
    REQUESTS.map(lambda value: json.dumps(value).encode()),
)


@pytest.mark.parametrize("family", ["shadow", "gateway", "config", "log", "sys", "rrpc"])
def test_no_message_ends_a_service(family, sweep_full):
    bench = ServiceBench()
    device = bench.new_device("gateway").identity
    service = bench.services.by_family[family]
    bench.services.remote_config.set(device.product_id, {"rate": 1})

    @settings(
        max_examples=SWEEP_RUNS if sweep_full else RUNS,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(PAYLOADS)
    def try_it(payload: bytes) -> None:
        bench.sent.clear()
        service.handle(device, f"${family}/operation/{device.path}", payload)
        assert len(bench.sent) <= 1
        for to, _, _, qos in bench.sent:
            assert (to, qos) == (device, 0)

    try_it()
    # And what it kept can be read again.
    assert bench.services.shadows.latest(device).state(with_delta=True) is not None
    bench.store.flush()
    assert type(bench.services)(bench.context).shadows.latest(
        device
    ) == bench.services.shadows.latest(device)
