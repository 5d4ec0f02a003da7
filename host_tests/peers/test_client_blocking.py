"""The blocking client (net/mqtt.py), under MicroPython, against mosquitto."""

import asyncio

import pytest

from host_tests.conftest import requires
from host_tests.e2e.application import Application
from host_tests.e2e.device_program import DeviceProgram, Event
from host_tests.e2e.scenario import run
from host_tests.faults import wire
from tools.bench.mosquitto import Mosquitto
from tools.faults import Cut, FaultProxy, Faults, Flow

pytestmark = requires("mosquitto")


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path) as broker:
        yield broker


def device(scenario: str, server, *arguments: object) -> DeviceProgram:
    return DeviceProgram("blocking_program.py", scenario, server.host, server.port, *arguments)


def recording(broker: Mosquitto, faults: Faults | None = None) -> FaultProxy:
    return FaultProxy((broker.host, broker.port), faults, record_bytes=1 << 20)


def results(dut: DeviceProgram, call: str) -> list[object]:
    return [event["result"] for event in dut.of("done") if event["call"] == call]


def raised(dut: DeviceProgram, call: str) -> list[Event]:
    return [event for event in dut.of("raised") if event["call"] == call]


def test_talks_as_umqtt_does(broker):
    async def scenario() -> None:
        async with (
            Application(broker.port, "up/#") as app,
            recording(broker) as proxy,
            device("talks", proxy) as dut,
        ):
            await dut.expect("ready")
            heard = await app.hears(9)
            texts = ["22.5 °C", "bytes", "", "x" * 16000]
            for qos in (0, 1):
                topic = f"up/{qos}"
                assert [m.payload.decode() for m in heard if m.topic == topic] == texts
            for qos in (0, 1):
                await app.publish(f"down/{qos}/名", "温度", qos)
                await app.publish(f"down/{qos}/x", "", qos)
            for _ in range(4):
                await dut.expect("message")
            dut.tell()
            await dut.end()
            assert [event["topic"] for event in dut.of("message")] == [
                "down/0/名",
                "down/0/x",
                "down/1/名",
                "down/1/x",
            ]
            assert [event["payload"] for event in dut.of("message")] == ["温度", "", "温度", ""]
            # The first byte of what came: PUBLISH with QoS 0 and 1, then PINGRESP.
            assert results(dut, "wait_msg") == [0x30, 0x30, 0x32, 0x32, 0xD0]
            assert results(dut, "check_msg") == [None, None]
            assert results(dut, "connect") == [False]
            assert raised(dut, "publish")[0]["error"] == "NotConnected"
            (link,) = proxy.links
            assert wire.kinds(link.up.log)[-1] == wire.DISCONNECT
            # A retained message is for those who come later.
            async with Application(broker.port, "up/kept") as late:
                assert await late.hears(1) == [("up/kept", b"stays")]

    run(scenario)


@pytest.mark.parametrize("count", [32, 50])
def test_a_callback_may_publish_and_is_never_nested(broker, count):
    async def scenario() -> None:
        async with (
            Application(broker.port, "up") as app,
            FaultProxy((broker.host, broker.port), Faults(down=Flow(delay_ms=10))) as proxy,
            device("publishes_within_callbacks", proxy, count) as dut,
        ):
            await dut.expect("ready")
            for i in range(count):
                await app.publish("down", str(i))
            dut.tell()
            await dut.end()
            heard = sorted(int(message.payload) for message in await app.hears(count))
            assert heard == list(range(count))
            assert {event["depth"] for event in dut.of("message")} == {1}
            # There is room for 32 while the first is called back; the rest comes in the end.
            for silence in dut.of("silence"):
                assert silence["seen"] + silence["dropped"] == count
            assert len(dut.of("silence")) == (count > 33)

    run(scenario)


def test_a_kept_session_is_told_and_its_messages_come(broker):
    async def scenario() -> None:
        async with (
            Application(broker.port) as app,
            recording(broker) as proxy,
            device("keeps_its_session", proxy) as dut,
        ):
            await dut.expect("done")
            await asyncio.sleep(0.1)
            for i in range(3):
                await app.publish("down", str(i))
            dut.tell()
            await dut.end()
            assert results(dut, "connect") == [False, True, False]
            assert [event["payload"] for event in dut.of("message")] == ["0", "1", "2"]
            assert wire.SUBSCRIBE not in wire.kinds(proxy.links[1].up.log)
            assert wire.SUBSCRIBE in wire.kinds(proxy.links[2].up.log)

    run(scenario)


@pytest.mark.parametrize(("cut", "code"), [(Cut.RST, 104), (Cut.FIN, 104)])
def test_a_lost_link_is_told_and_connect_heals_it(broker, cut, code):
    async def scenario() -> None:
        async with (
            Application(broker.port) as app,
            FaultProxy((broker.host, broker.port)) as proxy,
            device("comes_back", proxy) as dut,
        ):
            await dut.expect("ready")
            proxy.cut(cut)
            dut.tell()
            lost = await dut.expect("raised")
            assert (lost["error"], lost["code"]) == ("LinkError", code)
            assert (await dut.expect("raised"))["error"] == "NotConnected"
            proxy.heal()
            dut.tell()
            await dut.expect("ready")
            await app.publish("down", "after")
            assert (await dut.expect("message"))["payload"] == "after"
            await dut.end()

    run(scenario)


@pytest.mark.parametrize("cut", [Cut.RST, Cut.STALL])
def test_an_unacknowledged_publish_raises_and_is_forgotten(broker, cut):
    async def scenario() -> None:
        async with (
            Application(broker.port, "up") as app,
            FaultProxy((broker.host, broker.port)) as proxy,
            device("loses_an_acknowledgement", proxy, "ACKNOWLEDGE_MS=1000") as dut,
        ):
            await dut.expect("ready")
            proxy.cut(cut)
            dut.tell()
            lost = await dut.expect("raised")
            assert lost["typed"] and lost["took_ms"] < 3000
            proxy.heal()
            dut.tell()
            await dut.end()
            assert await app.hears(1) == [("up", b"after")]

    run(scenario)


def test_a_refused_login_says_so(tmp_path):
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    settings = ("allow_anonymous false", f"password_file {passwords}")

    async def scenario() -> None:
        with Mosquitto(tmp_path, settings) as broker:
            async with device("fails_to_connect", broker, "user", "opensesame") as dut:
                await dut.end()
                for refused in raised(dut, "connect"):
                    assert (refused["error"], refused["code"]) == ("LoginRefused", 5)
                    assert refused["phase"] == "login" and "CONNACK 5" in refused["reason"]
                assert len(raised(dut, "connect")) == 2
                assert raised(dut, "publish")[0]["error"] == "NotConnected"
                assert "opensesame" not in str(dut.events)

    run(scenario)


def test_a_refused_connection_says_so(broker):
    async def scenario() -> None:
        async with FaultProxy((broker.host, broker.port)) as proxy:
            proxy.cut()
            async with device("fails_to_connect", proxy) as dut:
                await dut.end()
                for refused in raised(dut, "connect"):
                    assert (refused["error"], refused["code"]) == ("LinkError", 111)
                    assert refused["phase"] == "network"
                assert len(raised(dut, "connect")) == 2

    run(scenario)


def test_an_unknown_name_says_so(broker):
    async def scenario() -> None:
        async with DeviceProgram(
            "blocking_program.py", "fails_to_connect", "no-such-host.invalid", 1883
        ) as dut:
            await dut.end(timeout_s=50)
            failed = raised(dut, "connect")[0]
            assert (failed["error"], failed["code"]) == ("LinkError", -2)
            assert failed["phase"] == "network" and "no-such-host.invalid" in failed["reason"]

    run(scenario, deadline_s=60)


@pytest.mark.parametrize("timeouts", [("1",), ("", "CONNACK_MS=1000")])
def test_a_server_that_says_nothing_is_given_up_in_time(broker, timeouts):
    async def scenario() -> None:
        async with FaultProxy((broker.host, broker.port)) as proxy:
            proxy.cut(Cut.STALL)
            limit = [value for value in timeouts if value]
            login = ("user", "password") if limit[0] == "1" else ()
            async with device("fails_to_connect", proxy, *login, *limit) as dut:
                await dut.end(timeout_s=10)
                for failed in raised(dut, "connect"):
                    assert failed["error"] == "DeadlineError"
                    assert 900 <= failed["took_ms"] <= 2500
                assert len(raised(dut, "connect")) == 2

    run(scenario)


def test_waiting_keeps_the_link_alive(broker):
    async def scenario() -> None:
        async with recording(broker) as proxy, device("waits_in_silence", proxy, 5) as dut:
            await dut.end(timeout_s=10)
            (link,) = proxy.links
            # The server would have closed at 3 s.
            assert wire.kinds(link.up.log).count(wire.PINGREQ) >= 3
            assert not dut.of("raised")
            assert set(results(dut, "wait_msg")) == {0xD0}

    run(scenario)


def test_waiting_on_a_dead_link_ends(broker):
    async def scenario() -> None:
        async with (
            FaultProxy((broker.host, broker.port)) as proxy,
            device("waits_in_silence", proxy, 30, "PINGRESP_MS=1000") as dut,
        ):
            await dut.expect("ready")
            proxy.cut(Cut.STALL)
            lost = await dut.expect("raised")
            assert (lost["error"], lost["phase"]) == ("DeadlineError", "keepalive")
            assert lost["took_ms"] < 5000
            await dut.end()

    run(scenario)


def test_the_will_is_sent_for_who_vanishes(broker):
    async def scenario() -> None:
        async with Application(broker.port, "up/#") as app:
            async with device("leaves_a_will", broker) as dut:
                await dut.expect("ready")
            assert await app.hears(1) == [("up/will", b"gone")]

    run(scenario)


def test_larger_messages_are_skipped_in_step(broker):
    async def scenario() -> None:
        pieces = Faults(down=Flow(piece_bytes=1000, gap_ms=0.1))
        async with (
            Application(broker.port) as app,
            recording(broker, pieces) as proxy,
            device("meets_large_messages", proxy) as dut,
        ):
            await dut.expect("ready")
            assert raised(dut, "publish")[0]["error"] == "BadInput"
            for size_bytes in (20_000, 100_000):
                await app.publish("down", bytes(size_bytes))
                await app.publish("down", bytes(16_000))
                dut.tell()
                assert (await dut.expect("message"))["size"] == 16_000
            dut.tell("end")
            await dut.end()
            assert wire.kinds(proxy.links[0].up.log).count(wire.PUBACK) == 4

    run(scenario)


def test_what_the_caller_did_wrong_is_said_and_nothing_sent(broker):
    async def scenario() -> None:
        async with recording(broker) as proxy, device("is_refused", proxy) as dut:
            await dut.end()
            assert [event["error"] for event in dut.of("raised")] == [
                "NotConnected",
                "BadInput",
                "BadInput",
                "BadInput",
                "BadInput",
            ]
            assert wire.kinds(proxy.links[0].up.log) == [wire.CONNECT, wire.DISCONNECT]

    run(scenario)
