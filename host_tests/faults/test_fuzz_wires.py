"""The fuzz of HTTP, CoAP, WebSocket and DER, in the same numbers and to the same end under both
interpreters; and that it would find what it looks for."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from host_tests.faults import fuzz_coap, fuzz_der, fuzz_http, fuzz_websocket
from host_tests.faults.test_fuzz import INTERPRETERS, SEED, SHARD_TIMEOUT_S, Shard, run, run_shard

SHARDS = 2
# Cases of each shard: in the tests, and in the sweep, where they are over 1,000,000 inputs.
CASES = {
    "fuzz_http": (1500, 130_000),
    "fuzz_coap": (1500, 65_000),
    "fuzz_websocket": (650, 65_000),
    "fuzz_der": (1500, 90_000),
}
INPUTS_A_CASE = {
    "fuzz_http": fuzz_http.INPUTS_A_CASE,
    "fuzz_coap": fuzz_coap.INPUTS_A_CASE,
    "fuzz_websocket": fuzz_websocket.INPUTS_A_CASE,
    "fuzz_der": fuzz_der.INPUTS_A_CASE,
}
SWEEP_INPUTS = 1_000_000
SWEEP_TIMEOUT_S = 1800
KNOWN_BAD_CASES = 2000
# What the fuzz must come to, or it says little.
REACHED = {
    "fuzz_http": (
        "LinkError", "ProtocolError", "body, chunks", "body, whole", "address taken", "answer",
        "address refused", "credentials", "ProtocolError of the gateway",
        "ServiceRefused of the gateway",
    ),
    "fuzz_coap": (
        "LinkError", "DeadlineError", "malformed", "read", "response", "token",
        "ServiceRefused of the cloud", "ProtocolError of the cloud",
    ),
    "fuzz_websocket": (
        "handshake taken", "handshake: ProtocolError", "handshake: LinkError", "error", "closed",
        "more", "pings answered",
    ),
    "fuzz_der": ("key", "refused", "block", "no block"),
}  # fmt: skip
SUBJECTS: dict[str, Mapping[str, object]] = {
    "fuzz_http": fuzz_http.READERS,
    "fuzz_coap": fuzz_coap.CLIENTS,
    "fuzz_websocket": fuzz_websocket.STREAMS,
    "fuzz_der": fuzz_der.READERS,
}


@pytest.mark.parametrize("script", CASES)
def test_only_typed_errors_come_out_and_everything_works_again(script, sweep_full):
    cases = CASES[script][sweep_full]
    timeout_s = SWEEP_TIMEOUT_S if sweep_full else SHARD_TIMEOUT_S
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = {
            name: [
                pool.submit(run_shard, script, name, shard * cases, cases, timeout_s)
                for shard in range(SHARDS)
            ]
            for name in INTERPRETERS
        }
        ran = {name: [future.result() for future in futures] for name, futures in running.items()}
    for name, shards in ran.items():
        outcomes = sum((shard.outcomes for shard in shards), Counter[str]())
        inputs = INPUTS_A_CASE[script] * sum(shard.cases for shard in shards)
        print(f"{script} under {name}: {inputs} inputs, {dict(outcomes)}")
        assert inputs >= (SWEEP_INPUTS if sweep_full else 10_000)
        for outcome in REACHED[script]:
            assert outcomes[outcome] > 0, outcome
    assert digests(ran["CPython"]) == digests(ran["MicroPython"])


def digests(shards: list[Shard]) -> list[str]:
    return [shard.digest for shard in shards]


@pytest.mark.parametrize(
    ("script", "subject"),
    [
        (script, subject)
        for script, subjects in SUBJECTS.items()
        for subject in subjects
        if subject != "real"
    ],
)
def test_a_known_fault_is_found(script, subject):
    given = ("--seed", SEED, "--cases", KNOWN_BAD_CASES, "--subject", subject)
    status, output = run("MicroPython", script, SHARD_TIMEOUT_S, *given)
    assert status == 1, output
    found = re.search(r"^FAILED: (\w+) --seed (\d+) --first (\d+) --cases 1$", output, re.M)
    assert found is not None, output
    # The printed command shows the fault again, and the real thing passes there.
    again = ("--seed", found[2], "--first", found[3], "--cases", 1)
    assert run("MicroPython", script, SHARD_TIMEOUT_S, *again, "--subject", subject)[0] == 1
    assert run("MicroPython", script, SHARD_TIMEOUT_S, *again)[0] == 0
