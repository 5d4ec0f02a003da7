"""umqtt.simple's two example programs, with it and with ours: only the import line differs.

Its PyPI archive holds no examples, so the programs make the same calls in the same order.
"""

import asyncio
import difflib
import os
import secrets
import subprocess

import pytest

from host_tests.conftest import requires
from host_tests.e2e.application import Application
from host_tests.e2e.device_program import MICROPYTHON, ROOT, SCRIPTS
from host_tests.e2e.scenario import run
from tools.bench.mosquitto import Mosquitto

pytestmark = requires("mosquitto")

IMPORTS = {
    "umqtt": "from umqtt.simple import MQTTClient",
    "iothub": "from iothub.net.mqtt import MQTTClient",
}


@pytest.fixture
def broker(tmp_path):
    """On the standard port, as the examples want it: on a loopback address of its own."""
    host = "127." + ".".join(str(1 + secrets.randbelow(250)) for _ in range(3))
    with Mosquitto(tmp_path, host=host, port=1883) as broker:
        yield broker


@pytest.fixture(params=IMPORTS)
def start(request, tmp_path):
    """Starts a program with one of the two import lines."""
    running = []

    def start(name: str, call: str) -> subprocess.Popen[str]:
        original = (SCRIPTS / f"{name}.py").read_text()
        program = original.replace(IMPORTS["umqtt"], IMPORTS[request.param])
        changes = [
            line
            for line in difflib.ndiff(original.splitlines(), program.splitlines())
            if line[0] in "+-"
        ]
        assert len(changes) == (0 if request.param == "umqtt" else 2)
        (tmp_path / f"{name}.py").write_text(program)
        process = subprocess.Popen(
            [MICROPYTHON, "-c", f"import {name}; {name}.{call}"],
            env={**os.environ, "MICROPYPATH": f"{tmp_path}:{ROOT / 'firmware/lib'}:.frozen"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_example_pub(broker, start):
    async def scenario() -> None:
        async with Application(broker.port, "foo_topic", host=broker.host) as app:
            process = start("example_pub", f"main({broker.host!r})")
            assert await app.hears(1) == [("foo_topic", b"hello")]
            assert await asyncio.to_thread(process.wait, 10) == 0
            assert process.stdout.read() == ""

    run(scenario)


@pytest.mark.parametrize("waiting", [True, False])
def test_example_sub(broker, start, waiting):
    async def scenario() -> None:
        process = start("example_sub", f"main({broker.host!r}, {waiting})")

        async def line() -> str:
            return (await asyncio.to_thread(process.stdout.readline)).strip()

        assert await line() == "subscribed"
        async with Application(broker.port, host=broker.host) as app:
            for payload in ("hello", "again"):
                await app.publish("foo_topic", payload)
                assert await line() == f"(b'foo_topic', b'{payload}')"

    run(scenario)
