"""The fuzz of packets and JSON, in the same numbers and to the same end under both interpreters;
and that it would find what it looks for."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from host_tests.faults.fuzz_broken import ENGINES, TIME_SERVICES
from host_tests.faults.fuzz_services_broken import SERVICES

ROOT = Path(__file__).resolve().parents[2]
PATH = f"{ROOT}:{ROOT / 'firmware/lib'}"
INTERPRETERS = {
    "CPython": sys.executable,
    "MicroPython": str(Path(sys.executable).parent / "micropython"),
}
SEED = 20240104
# Cases for each interpreter: of packets and JSON over 100,000 in the tests, over 1,000,000 in the
# sweep. A case of the services has seven messages and more for each.
SHARDS = 4
CASES_A_SHARD = {"fuzz_mqtt": 14_000, "fuzz_json": 12_000, "fuzz_services": 250}
SWEEP_FACTORS = {"fuzz_mqtt": 15, "fuzz_json": 5, "fuzz_services": 160}
MIN_CASES, SWEEP_MIN_CASES = 100_000, 1_000_000
SHARD_TIMEOUT_S = 300
# A fault that takes more cases to show has not been found.
KNOWN_BAD_CASES = 5000

_LAST_LINE = re.compile(
    r"^(?P<script>\w+): (?P<cases>\d+) cases, seed \d+, digest (?P<digest>\w+)$"
)
_OUTCOME = re.compile(r"^outcome (\d+) (.*)$", re.M)


@dataclass
class Shard:
    """A part of a fuzz that ran to its end."""

    script: str
    interpreter: str
    cases: int
    digest: str
    outcomes: Counter[str]


def run(interpreter: str, script: str, timeout_s: float, *options: object) -> tuple[int, str]:
    """(exit status, output) of a fuzz script."""
    try:
        done = subprocess.run(
            [INTERPRETERS[interpreter], f"host_tests/faults/{script}.py", *map(str, options)],
            cwd=ROOT,
            env={"PYTHONPATH": PATH, "MICROPYPATH": PATH},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as e:
        told = (e.stdout or b"").decode()
        pytest.fail(f"{script} under {interpreter} hangs somewhere after: {told[-100:]}")
    return done.returncode, done.stdout


def run_shard(script: str, interpreter: str, first: int, cases: int, timeout_s: float) -> Shard:
    status, output = run(
        interpreter, script, timeout_s, "--seed", SEED, "--first", first, "--cases", cases
    )
    assert status == 0, f"{interpreter}: {output[-4000:]}"
    last = _LAST_LINE.match(output.splitlines()[-1])
    assert last is not None, output[-1000:]
    outcomes = Counter({text: int(count) for count, text in _OUTCOME.findall(output)})
    return Shard(last["script"], interpreter, int(last["cases"]), last["digest"], outcomes)


def protocol_errors() -> Iterator[str]:
    """Every reason the MQTT modules give a ProtocolError, with N for its numbers."""
    for module in ("engine", "packet"):
        source = (ROOT / "firmware/lib/iothub/mqtt" / f"{module}.py").read_text()
        for node in ast.walk(ast.parse(source)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "ProtocolError"
            ):
                reason = node.args[0]
                text = ast.literal_eval(reason.left if isinstance(reason, ast.BinOp) else reason)
                yield re.sub(r"%d|\d+", "N", text)


def test_only_typed_errors_come_out_and_everything_works_again(sweep_full):
    factors = SWEEP_FACTORS if sweep_full else dict.fromkeys(SWEEP_FACTORS, 1)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [
            pool.submit(
                run_shard, script, name, shard * cases * factors[script], cases * factors[script],
                SHARD_TIMEOUT_S * factors[script],
            )
            for script, cases in CASES_A_SHARD.items()
            for shard in range(SHARDS)
            for name in INTERPRETERS
        ]  # fmt: skip
        shards = [future.result() for future in running]
    for interpreter in INTERPRETERS:
        for script, cases in CASES_A_SHARD.items():
            mine = [s for s in shards if (s.script, s.interpreter) == (script, interpreter)]
            done = sum(s.cases for s in mine)
            assert done == SHARDS * cases * factors[script]
            outcomes = sum((s.outcomes for s in mine), Counter())
            print(f"{script} under {interpreter}: {done} cases, {dict(outcomes)}")
            if script == "fuzz_mqtt":
                check_reach(outcomes)
        done = sum(s.cases for s in shards if s.interpreter == interpreter)
        assert done >= (SWEEP_MIN_CASES if sweep_full else MIN_CASES)
    # What the two interpreters made of the same packets is the same to the last byte.
    for first, second in zip(shards[::2], shards[1::2], strict=True):
        assert first.interpreter != second.interpreter
        if first.script == "fuzz_mqtt":
            assert (first.digest, first.outcomes) == (second.digest, second.outcomes)


def check_reach(outcomes: Counter[str]) -> None:
    """The fuzz came to every error and every report the engine has."""
    for reason in protocol_errors():
        assert outcomes[f"ProtocolError: {reason}"] > 0, reason
    for told in (
        "ONLINE_AGAIN", "SESSION_LOST", "OVERSIZE", "STRAY_ACK", "FILTER_REFUSED",
        "FILTER_GRANTED",
    ):  # fmt: skip
        assert outcomes[f"told {told}"] > 0, told
    for kind in ("LoginRefused", "DeadlineError"):
        assert any(outcome.startswith(kind) for outcome in outcomes), kind
    assert outcomes["unharmed"] > 0


@pytest.mark.parametrize("interpreter", INTERPRETERS)
@pytest.mark.parametrize(
    ("script", "subject"),
    [
        (script, subject)
        for script, subjects in (
            ("fuzz_mqtt", ENGINES),
            ("fuzz_json", TIME_SERVICES),
            ("fuzz_services", SERVICES),
        )
        for subject in subjects
        if subject != "real"
    ],
)
def test_a_known_fault_is_found(script, subject, interpreter):
    status, output = run(
        interpreter,
        script,
        SHARD_TIMEOUT_S,
        *("--seed", SEED, "--cases", KNOWN_BAD_CASES, "--subject", subject),
    )
    assert status == 1, output
    found = re.search(r"^FAILED: (\w+) --seed (\d+) --first (\d+) --cases 1$", output, re.M)
    assert found is not None, output
    # The printed command shows the fault again, and the real thing passes there.
    again = ("--seed", found[2], "--first", found[3], "--cases", 1)
    assert run(interpreter, script, SHARD_TIMEOUT_S, *again, "--subject", subject)[0] == 1
    assert run(interpreter, script, SHARD_TIMEOUT_S, *again)[0] == 0
