"""The examples of the services over MQTT, as a user runs them, against mosquitto and a cloud whose
every word is in the test: what is on the wire is what the documents print."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from host_tests.conftest import requires
from host_tests.e2e.application import Application, Message
from host_tests.e2e.device_program import ROOT
from host_tests.e2e.scenario import run
from tools.bench.mosquitto import Mosquitto
from tools.faults import FaultProxy

pytestmark = requires("mosquitto")

EXAMPLES = ROOT / "firmware/examples"
MICROPYTHON = Path(sys.executable).parent / "micropython"
DEVICE = "PRODUCTID1/dev01"
SECRET = "lDZ6Uqt+I9E0wW7rvDUs7Q=="
SUB_DEVICE = {"product_id": "SUBPRODUCT", "device_name": "meter", "device_secret": SECRET}
TIMEOUT_S = 15.0


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path) as broker:
        yield broker


class Example:
    """`async with Example(folder, "shadow", port) as example:` runs one until the block ends; or
    the program of a path."""

    def __init__(self, folder: Path, name: str | Path, port: int, **fields: Any) -> None:
        self._path = name if isinstance(name, Path) else EXAMPLES / f"{name}.py"
        self._folder = folder
        self.lines: list[str] = []
        config = {
            "product_id": "PRODUCTID1",
            "device_name": "dev01",
            "device_secret": SECRET,
            "transport": "tcp",
            "host": "127.0.0.1",
            "port": port,
            **fields,
        }
        (folder / "device.json").write_text(json.dumps(config))

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            MICROPYTHON, self._path,
            cwd=self._folder,
            env={**os.environ, "MICROPYPATH": f".frozen:{ROOT / 'firmware/lib'}"},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    async def says(self, pattern: str) -> re.Match[str]:
        """Reads on to the line that begins with a match."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while line := (await self._process.stdout.readline()).decode().rstrip("\n"):
                    self.lines.append(line)
                    if found := re.match(pattern, line):
                        return found
        except TimeoutError:
            pass
        raise AssertionError(f"no {pattern!r} in {self.lines}")


class Cloud(Application):
    """Hears one family of topics, and the time's, which it answers. The test says the rest."""

    def __init__(self, port: int, *filters: str) -> None:
        super().__init__(port, "$sys/operation/+/+", *filters)
        self.requests: asyncio.Queue[Message] = asyncio.Queue()
        self.on_message = self._sort

    def _sort(self, message: Message) -> None:
        if message.topic.startswith("$sys/"):
            now = {"type": "get", "time": 1589786839, "ntptime1": 1589786839000}
            answer = json.dumps({**now, "ntptime2": 1589786839000})
            self.send(f"$sys/operation/result/{DEVICE}", answer, 0)
        else:
            self.requests.put_nowait(message)

    async def request(self, topic: str) -> dict[str, Any]:
        """The next message, which is JSON on that topic."""
        async with asyncio.timeout(TIMEOUT_S):
            message = await self.requests.get()
        assert message.topic == topic
        found: dict[str, Any] = json.loads(message.payload)
        return found

    def say(self, topic: str, **fields: Any) -> None:
        self.send(topic, json.dumps(fields), 0)


class ShadowCloud(Cloud):
    def __init__(self, port: int) -> None:
        super().__init__(port, "$shadow/operation/+/+")

    async def asked(self, kind: str, **fields: Any) -> str:
        """The next request has these fields and no other; its token."""
        request = await self.request(f"$shadow/operation/{DEVICE}")
        token = request.pop("clientToken")
        assert isinstance(token, str)
        assert request == {"type": kind, **fields}
        return token

    def answer(self, kind: str, token: str, result: int = 0, **payload: Any) -> None:
        self.say(
            f"$shadow/operation/result/{DEVICE}",
            type=kind,
            result=result,
            clientToken=token,
            timestamp=1678783991,
            payload={"timestamp": 1678783950012, **payload},
        )

    def delta(self, version: int, **state: Any) -> None:
        payload = {"state": state, "timestamp": 1678786529510, "version": version}
        self.say(f"$shadow/operation/result/{DEVICE}", type="delta", payload=payload)


def test_shadow(broker, tmp_path):
    async def scenario() -> None:
        async with (
            ShadowCloud(broker.port) as cloud,
            FaultProxy((broker.host, broker.port)) as line,
            Example(tmp_path, "shadow", line.port) as lamp,
        ):
            token = await cloud.asked("get")
            cloud.answer("get", token, state={"reported": {}}, version=3)
            report: dict[str, Any] = {"state": {"reported": {"brightness": 20}}}
            token = await cloud.asked("update", **report, version=3)
            # Somebody was faster: the whole document, and the same once more on it.
            cloud.answer("update", token, 5005, state={"reported": {"room": 1}}, version=5)
            token = await cloud.asked("update", **report, version=5)
            cloud.answer("update", token, **report, version=6)
            told = await lamp.says("reported (.*) version 6")
            assert "'brightness': 20" in told[1] and "'room': 1" in told[1]
            # A wish beyond what the lamp can do, and one it does not know.
            cloud.delta(7, brightness=150, colour="red")
            await lamp.says("brightness 100")
            await lamp.says("unknown to this lamp: {'colour': 'red'}")
            applied = {"reported": {"brightness": 100}, "desired": None}
            await cloud.asked("update", state=applied, version=7)
            # The line breaks, that message was lost, and there is a new wish.
            line.cut()
            line.heal()
            token = await cloud.asked("get")
            wish = {"brightness": 30, "colour": "red"}
            document = {"reported": {"brightness": 20}, "desired": wish, "delta": wish}
            cloud.answer("get", token, state=document, version=8)
            await lamp.says("brightness 30")
            # What was applied before is told, but does not clear the new wish.
            before = {"reported": {"brightness": 100}, "desired": {"colour": None}}
            token = await cloud.asked("update", state=before, version=8)
            cloud.answer("update", token, state=before, version=9)
            applied = {"reported": {"brightness": 30}, "desired": None}
            await cloud.asked("update", state=applied, version=9)

    run(scenario)


def test_a_shadow_that_is_refused_says_why(broker, tmp_path):
    async def scenario() -> None:
        async with (
            ShadowCloud(broker.port) as cloud,
            Example(tmp_path, "shadow", broker.port) as lamp,
        ):
            cloud.answer("get", await cloud.asked("get"), 5001)
            report: dict[str, Any] = {"state": {"reported": {"brightness": 20}}}
            cloud.answer("update", await cloud.asked("update", **report, version=0), 5011)
            await lamp.says(r"shadow: the shadow refuses \(5011\)\. Too large: ")

    run(scenario)


# Stops and starts again within one program.
TWICE = """
import asyncio
from iothub import Device

device = Device.from_file("device.json")
device.shadow.on_delta(lambda desired: print("desired", desired))

async def main():
    for turn in range(2):
        running = asyncio.create_task(device.run())
        await device.shadow.report({"turn": turn})
        print("reported", turn)
        await device.stop()
        await running

asyncio.run(main())
"""


def test_a_device_that_stops_and_starts_again_fetches_its_shadow(broker, tmp_path):
    async def scenario() -> None:
        (tmp_path / "twice.py").write_text(TWICE)
        async with (
            ShadowCloud(broker.port) as cloud,
            Example(tmp_path, tmp_path / "twice.py", broker.port) as device,
        ):
            for turn, version in ((0, 3), (1, 9)):
                cloud.answer("get", await cloud.asked("get"), state={}, version=version)
                report: dict[str, Any] = {"state": {"reported": {"turn": turn}}}
                token = await cloud.asked("update", **report, version=version)
                cloud.answer("update", token, **report, version=version + 1)
                await device.says(f"reported {turn}")

    run(scenario)


def test_rrpc(broker, tmp_path):
    async def scenario() -> None:
        async with (
            Cloud(broker.port, "$rrpc/txd/#") as cloud,
            Example(tmp_path, "rrpc", broker.port) as device,
        ):
            # When the device has subscribed cannot be seen: sent until it is heard.
            while cloud.requests.empty():
                cloud.say(f"$rrpc/rxd/{DEVICE}/1", method="first")
                await asyncio.sleep(0.1)
            assert await cloud.request(f"$rrpc/txd/{DEVICE}/1") == {"result": "done first"}
            for process_id, takes_ms in (("a1", 400), ("b2", 100), ("c3", 250), ("b2", 0)):
                method = "m" + process_id
                topic = f"$rrpc/rxd/{DEVICE}/{process_id}"
                cloud.say(topic, method=method, takes_ms=takes_ms)
            for process_id in ("b2", "c3", "a1"):
                answer = await cloud.request(f"$rrpc/txd/{DEVICE}/{process_id}")
                assert answer == {"result": "done m" + process_id}
            await device.says("called: ma1")
            assert cloud.requests.empty() and device.lines.count("called: mb2") == 1

    run(scenario)


def test_broadcast(broker, tmp_path):
    async def scenario() -> None:
        async with (
            Cloud(broker.port) as cloud,
            Example(tmp_path, "broadcast", broker.port) as device,
        ):
            heard = asyncio.create_task(device.says("broadcast: 温度"))
            while not heard.done():
                cloud.send(f"$broadcast/rxd/{DEVICE}", "温度", 1)
                await asyncio.sleep(0.1)
            await heard

    run(scenario)


def test_remote_config(broker, tmp_path):
    async def scenario() -> None:
        answers = f"$config/operation/result/{DEVICE}"
        async with (
            Cloud(broker.port, "$config/operation/+/+") as cloud,
            Example(tmp_path, "remote_config", broker.port) as device,
        ):
            for _ in range(2):  # at the connection, and because the program asks
                assert await cloud.request(f"$config/operation/{DEVICE}") == {"type": "get"}
            cloud.say(answers, type="reply", result=0, payload={"rate": 1})
            await device.says("configuration: {'rate': 1}")
            await device.says("asked for: {'rate': 1}")
            cloud.say(answers, type="push", payload={"rate": 2})
            await device.says("configuration: {'rate': 2}")

    run(scenario)


def test_gateway(broker, tmp_path):
    names = {name: SUB_DEVICE[name] for name in ("product_id", "device_name")}

    async def scenario() -> None:
        asks, answers = f"$gateway/operation/{DEVICE}", f"$gateway/operation/result/{DEVICE}"
        event, control = "SUBPRODUCT/meter/event", "SUBPRODUCT/meter/control"
        async with (
            Cloud(broker.port, "$gateway/operation/+/+", event) as cloud,
            FaultProxy((broker.host, broker.port)) as line,
            Example(tmp_path, "gateway", line.port, app=SUB_DEVICE) as device,
        ):

            def answer(kind: str, result: int) -> None:
                cloud.say(answers, type=kind, payload={"devices": [{**names, "result": result}]})

            async def asked(kind: str) -> dict[str, Any]:
                request = await cloud.request(asks)
                assert request["type"] == kind
                (entry,) = request["payload"]["devices"]
                return dict(entry)

            entry = await asked("bind")
            assert {name: entry[name] for name in names} == names
            assert (entry["authtype"], entry["signmethod"]) == ("psk", "hmacsha1")
            # The time came from the cloud; the secret did not leave.
            assert abs(entry["timestamp"] - 1589786839) < 60 and SECRET not in str(entry)
            answer("bind", 0)
            assert await asked("online") == names
            answer("online", 0)
            assert await cloud.request(asks) == {"type": "describe_sub_devices"}
            cloud.say(answers, type="describe_sub_devices", payload={"devices": [names]})
            await device.says(r"online: Identity\(SUBPRODUCT/meter\) of \[Identity")
            assert await cloud.request(event) == {"kWh": 1234.5}
            await device.says("published")
            await cloud.publish(control, "on")
            await device.says("for the meter: on")
            # After a reconnect the sub-device is brought back, and hears again.
            line.cut()
            line.heal()
            assert await asked("online") == names
            answer("online", 0)
            heard = asyncio.create_task(device.says("for the meter: again"))
            while not heard.done():
                await cloud.publish(control, "again")
                await asyncio.sleep(0.05)
            cloud.say(answers, type="change", payload={"status": 0, "devices": [names]})
            await device.says(r"unbound \[Identity\(SUBPRODUCT/meter\)\]")
            done = {"status": 0, "devices": [{**names, "result": 0}]}
            assert await cloud.request(asks) == {"type": "change", "result": 0, "payload": done}

    run(scenario)


def test_a_binding_that_is_refused_says_why(broker, tmp_path):
    async def scenario() -> None:
        names = {name: SUB_DEVICE[name] for name in ("product_id", "device_name")}
        async with (
            Cloud(broker.port, "$gateway/operation/+/+") as cloud,
            Example(tmp_path, "gateway", broker.port, app=SUB_DEVICE) as device,
        ):
            await cloud.request(f"$gateway/operation/{DEVICE}")
            payload = {"devices": [{**names, "result": 803}]}
            cloud.say(f"$gateway/operation/result/{DEVICE}", type="bind", payload=payload)
            said = await device.says("gateway: ")
            assert said.string == (
                "gateway: bind of SUBPRODUCT/meter refused (803)."
                " Bad signature: check the sub-device's secret, and the clock"
            )

    run(scenario)
