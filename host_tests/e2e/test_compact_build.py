"""The library as boards get it behaves like its sources: joined, renamed and compiled, it passes
their tests. Programs that look inside it are translated to its names."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from host_tests.e2e.device_program import MICROPYTHON, ROOT, SCRIPTS
from host_tests.e2e.test_both_interpreters import PLAIN_TESTS, counts
from tools.bytecode import FIRMWARE, compile_library, public_sources
from tools.compact.build import CompactLibrary, compact_library

# They put something of their own into a module, which then is not where the code is, or ask
# modules for names that only their sources need.
NOT_PLAIN = {
    "test_engine_stream.py": 2,  # a memoryview() that fails
    "test_timeouts.py": None,
    "test_package.py": None,
    # What they test shares its file with Wi-Fi, which the Unix port has not.
    "test_watchdog.py": None,
    "test_long_watch.py": None,
    "test_port_network.py": None,
}
SLOW = ("test_rsa.py", "test_shadow_model.py", "test_update_writer.py")
HELPERS = ("faults/fuzz_dice.py",)  # of the plain tests
# What needs few seconds; `make sweep` has them all.
BRIEFLY = ("host_tests/e2e/test_iotmq.py", "host_tests/e2e/test_step_aside.py")
IN_FULL = (
    "host_tests/e2e/test_idle_blocking_client.py",
    "host_tests/e2e/test_reboot.py",
    "host_tests/e2e/test_time_bootstrap.py",
    "host_tests/peers/test_client_blocking.py",
    "host_tests/peers/test_client_session.py",
    "host_tests/peers/test_coap_libcoap.py",
    "host_tests/peers/test_http_nginx.py",
    "host_tests/peers/test_http_services.py",
    "host_tests/peers/test_psk.py",
    "host_tests/peers/test_services_mosquitto.py",
    "host_tests/peers/test_tls.py",
    "host_tests/peers/test_websocket.py",
    "host_tests/faults/test_register_cuts.py",
)
TIMEOUT_S = 600


@pytest.fixture(scope="module")
def compact() -> CompactLibrary:
    plain = sorted((ROOT / PLAIN_TESTS).glob("*.py"))
    return compact_library(
        FIRMWARE / "lib",
        others=public_sources(),
        insiders=[*plain, *sorted(SCRIPTS.glob("*.py"))],
        # The programs of the tests shorten the waits.
        named_constants=("iothub.timeouts",),
    )


@pytest.fixture(scope="module")
def build(compact, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    compile_library(compact, folder / "lib")
    shutil.copytree(FIRMWARE / "lib/umqtt", folder / "lib/umqtt")
    for source in (*SCRIPTS.glob("*.py"), *(ROOT / PLAIN_TESTS).glob("*.py")):
        name = "device_scripts" if source.parent == SCRIPTS else PLAIN_TESTS
        (folder / name).mkdir(parents=True, exist_ok=True)
        translated = compact.translated(source.read_text("utf-8"))
        (folder / name / source.name).write_text(translated, "utf-8")
    for helper in ("under_micropython.py", *HELPERS):
        target = folder / "host_tests" / helper
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / "host_tests" / helper).read_text("utf-8")
        target.write_text(compact.translated(text), "utf-8")
    return folder


def run_plain(build: Path, names: list[str], tmp_path: Path) -> tuple[int, dict[str, int], str]:
    """(tests, {file: failures} where there are any, all that was printed)."""
    done = subprocess.run(
        [
            str(MICROPYTHON),
            *("-X", "heapsize=8m"),
            "host_tests/under_micropython.py",
            *(f"{PLAIN_TESTS}/{name}" for name in names),
        ],
        cwd=build,
        env={
            "MICROPYPATH": f"{build}:{build / 'lib'}:{FIRMWARE}:.frozen",
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    found = counts(done.stdout)
    tests, _ = found.pop("total", (0, 0))
    failures = {Path(file).name: failed for file, (_, failed) in found.items() if failed}
    return tests, failures, done.stdout + done.stderr


def test_the_plain_tests_pass_with_the_compact_library(build, tmp_path):
    names = sorted({file.name for file in (build / PLAIN_TESTS).glob("test_*.py")} - {*SLOW})
    names = [name for name in names if NOT_PLAIN.get(name, 0) is not None]
    tests, failures, output = run_plain(build, names, tmp_path)
    assert failures == {name: count for name, count in NOT_PLAIN.items() if count}, output
    assert tests > 400
    print(f"{tests} tests with the compact library")


@pytest.mark.sweep
def test_the_slow_plain_tests_pass_with_the_compact_library(build, tmp_path):
    tests, failures, output = run_plain(build, list(SLOW), tmp_path)
    assert not failures and tests > 20, output


def passes(build: Path, files: tuple[str, ...]) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "--reruns", "2", *files]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "DEVICE_BUILD": str(build)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    return done.stdout.splitlines()[-1]


def test_devices_with_the_compact_library_behave_alike(build):
    print(passes(build, BRIEFLY))


@pytest.mark.sweep
@pytest.mark.parametrize("file", IN_FULL, ids=lambda file: Path(file).stem)
def test_devices_behave_alike_in_full(build, file):
    print(passes(build, (file,)))


BARE = """
from iothub.config import Config
from iothub.errors import BadInput, LinkError
from iothub.loading import for_now

try:
    for_now("iothub.transport")
except LinkError as e:
    print(e)
try:
    Config({"product_id": "ABCDE12345", "device_name": "dev", "certificate": "device.crt.der"})
except BadInput as e:
    print(e)
"""


def test_an_error_is_told_where_nothing_loads_that_tells_it(build, compact, tmp_path):
    shutil.copytree(build / "lib", tmp_path / "lib")
    for gone in (tmp_path / "lib/iothub").glob("*.mpy"):
        if gone.stem.startswith(("texts", "hints", "transport")):
            gone.unlink()
    program = tmp_path / "program.py"
    program.write_text(compact.translated(BARE), "utf-8")
    done = subprocess.run(
        [str(MICROPYTHON), str(program)],
        env={"MICROPYPATH": f"{tmp_path / 'lib'}:.frozen"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    connecting, configuring = done.stdout.splitlines()
    assert connecting == "connect: iothub.transport: no module named 'iothub.transport'"
    assert re.fullmatch(r"config: private_key: error \d+", configuring), done.stdout + done.stderr
