"""The asyncio client (net/session.py), under MicroPython, against mosquitto."""

import asyncio

import pytest

from host_tests.conftest import requires
from host_tests.e2e.application import Application
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run, until
from host_tests.faults import wire
from tools.bench.mosquitto import Mosquitto
from tools.faults import Cut, FaultProxy, Faults, Flow

pytestmark = requires("mosquitto")

PROGRAM = "session_program.py"
TEXT = "温度 22.5 °C ☀ \U0001f321"


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path) as broker:
        yield broker


def device(scenario: str, server, *arguments: object) -> DeviceProgram:
    return DeviceProgram(PROGRAM, scenario, server.host, server.port, *arguments)


def recording(broker: Mosquitto, faults: Faults | None = None) -> FaultProxy:
    return FaultProxy((broker.host, broker.port), faults, record_bytes=1 << 20)


async def finish(program: DeviceProgram) -> None:
    program.tell()
    await program.end()


# Messages


@pytest.mark.parametrize("qos", [0, 1])
def test_delivers_and_publishes_text_bytes_and_nothing(broker, qos):
    async def scenario() -> None:
        payloads = [TEXT, "", "x", "y" * 127, "z" * 128, "0123456789abcdef" * 900]
        async with (
            Application(broker.port, "up/#") as app,
            device("echo", broker) as dut,
        ):
            await dut.expect("ready")
            for payload in payloads:
                await app.publish(f"down/名/{qos}", payload, qos)
            heard = await app.hears(len(payloads))
            assert heard == [(f"up/名/{qos}", payload.encode()) for payload in payloads]
            await finish(dut)
            assert [event["payload"] for event in dut.of("message")] == payloads
            assert not dut.of("offline")

    run(scenario)


def test_wildcards_match_as_the_standard_says(broker):
    expected = {
        "a/b/c": "a/+/c",
        "a//c": "a/+/c",
        "b": "b/#",
        "b/1/2": "b/#",
        "exact": "exact",
        "x/deep/1": "+/deep/#",
        "x/deep": "+/deep/#",
        "/": "/",
        "c//d": "c//d",
    }
    unmatched = ["a/b/c/d", "a/c", "exact/1", "Exact", "bb", "//", "c/d"]

    async def scenario() -> None:
        async with Application(broker.port) as app, device("wildcards", broker) as dut:
            await dut.expect("ready")
            for topic in unmatched + list(expected):
                await app.publish(topic, "")
            for topic, handler in expected.items():
                message = await dut.expect("message")
                assert (message["topic"], message["handler"]) == (topic, handler)
            await finish(dut)
            assert len(dut.of("message")) == len(expected)
            assert not dut.of("unhandled")

    run(scenario)


def test_takes_payloads_as_views(broker):
    async def scenario() -> None:
        async with Application(broker.port) as app, device("views", broker) as dut:
            await dut.expect("ready")
            for payload in ("first", "second"):
                await app.publish("down", payload)
                message = await dut.expect("message")
                assert (message["kind"], message["payload"]) == ("memoryview", payload)
            await finish(dut)

    run(scenario)


def test_32_subscriptions_come_back_in_one_packet_after_a_lost_session(broker):
    async def scenario() -> None:
        async with recording(broker) as proxy, device("subscriptions_32", proxy) as dut:
            refused = await dut.expect("refused")
            assert (refused["error"], refused["typed"]) == ("BadInput", True)
            await dut.expect("ready")
            # A restart without persistence: the session the device relied on is gone.
            broker.stop()
            await dut.expect("offline")
            broker.start()
            await dut.expect("session_lost")
            assert (await dut.expect("online"))["detail"] is False
            for _ in range(32):
                await dut.expect("filter_granted")
            assert wire.kinds(proxy.links[-1].up.log)[:2] == [wire.CONNECT, wire.SUBSCRIBE]
            async with Application(broker.port) as app:
                for i in range(32):
                    await app.publish(f"down/{i}", str(i))
                    message = await dut.expect("message")
                    assert (message["topic"], message["payload"]) == (f"down/{i}", str(i))
            await finish(dut)

    run(scenario)


def test_who_waits_hears_of_every_change(broker):
    # Login and SUBACK come in quick succession: a waiter that is woken by the first must not miss
    # the second, after which nothing more may come for minutes.
    async def scenario() -> None:
        async with device("subscribes_at_once", broker, 50) as dut:
            await dut.end(timeout_s=20)
            assert len(dut.of("stopped")) == 50

    run(scenario)


def test_unsubscribes_now_or_at_the_next_login(broker):
    async def scenario() -> None:
        async with Application(broker.port) as app, device("unsubscribes", broker) as dut:
            await dut.expect("ready")
            await app.publish("down/1", "no")
            await app.publish("down/2", "yes")
            assert (await dut.expect("message"))["payload"] == "yes"
            dut.tell()
            await dut.expect("ready")
            await app.publish("down/1", "no")
            await app.publish("down/2", "no")
            await asyncio.sleep(0.2)
            await finish(dut)
            assert len(dut.of("message")) == 1
            assert [event["detail"] for event in dut.of("online")] == [False, True]
            assert not dut.of("unhandled")

    run(scenario)


def test_a_kept_session_holds_what_came_meanwhile_and_needs_no_subscribe(broker):
    async def scenario() -> None:
        async with (
            Application(broker.port) as app,
            recording(broker) as proxy,
            device("sleeps_and_returns", proxy) as dut,
        ):
            await dut.expect("stopped")
            for i in range(3):
                await app.publish("down/x", str(i))
            dut.tell()
            assert (await dut.expect("online"))["detail"] is True
            for i in range(3):
                assert (await dut.expect("message"))["payload"] == str(i)
            await finish(dut)
            first, second = proxy.links
            assert wire.SUBSCRIBE in wire.kinds(first.up.log)
            assert wire.SUBSCRIBE not in wire.kinds(second.up.log)
            assert wire.kinds(second.up.log).count(wire.PUBACK) == 3
            for link in proxy.links:
                assert wire.kinds(link.up.log)[-1] == wire.DISCONNECT

    run(scenario)


def test_takes_packets_up_to_16_kib_and_skips_larger_ones_in_step(broker):
    async def scenario() -> None:
        pieces = Faults(down=Flow(piece_bytes=1000, gap_ms=0.1))
        async with (
            Application(broker.port, "up") as app,
            recording(broker, pieces) as proxy,
            device("large", proxy) as dut,
        ):
            assert (await dut.expect("refused"))["error"] == "BadInput"
            await dut.expect("ready")
            sent = [len(message.payload) for message in await app.hears(2)]
            # The whole packet is 16 KiB: first byte, 3 of length (2 suffice), topic, id, payload.
            assert sent == [16384 - 1 - 2 - 4, 16384 - 1 - 2 - 4 - 2]
            # What is received may have a remaining length of 16 KiB: topic, id, payload.
            overhead_bytes = {0: 6, 1: 8}
            for qos in (0, 1):
                largest_bytes = 16384 - overhead_bytes[qos]
                for size_bytes in (largest_bytes, 900, 1100):
                    await app.publish("down", bytes(size_bytes), qos)
                    assert (await dut.expect("message"))["size"] == size_bytes
                for size_bytes in (largest_bytes + 8, 50_000, 1_000_000):
                    await app.publish("down", bytes(size_bytes), qos)
                    told = await dut.expect("oversize")
                    assert told["detail"] > size_bytes
                    await app.publish("down", bytes(10), qos)
                    assert (await dut.expect("message"))["size"] == 10
            await finish(dut)
            assert not dut.of("offline")

    run(scenario)


def test_an_oversize_qos_1_message_is_not_sent_for_ever(broker):
    async def scenario() -> None:
        async with (
            Application(broker.port) as app,
            FaultProxy((broker.host, broker.port)) as proxy,
            device("receives", proxy, "oversize") as dut,
        ):
            await dut.expect("ready")
            await app.publish("down/x", bytes(20_000))
            await dut.expect("oversize")
            await app.publish("down/x", "small")
            await dut.expect("message")
            proxy.cut()
            await dut.expect("offline")
            proxy.heal()
            assert (await dut.expect("online"))["detail"] is True
            await app.publish("down/x", "after")
            heard = (await dut.expect("message"))["payload"]
            if heard == "small":  # its acknowledgement may have been cut off: then once more
                heard = (await dut.expect("message"))["payload"]
            assert heard == "after"
            await finish(dut)
            assert len(dut.of("oversize")) == 1

    run(scenario)


@pytest.mark.parametrize("count", [70_000])
def test_publishes_more_messages_than_there_are_packet_ids(broker, count):
    async def scenario() -> None:
        async with (
            Application(broker.port, "up") as app,
            device("publishes_many", broker, count) as dut,
        ):
            await dut.expect("acknowledged", timeout_s=90)
            await dut.end()
            heard = await app.hears(count, timeout_s=90)
            assert [int(message.payload) for message in heard] == list(range(count))
            assert not dut.of("offline") and not dut.of("stray_ack")

    run(scenario, deadline_s=180)


# Handlers


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_handler_that_raises_is_told_and_counted_and_nothing_else(broker, kind):
    async def scenario() -> None:
        async with (
            Application(broker.port) as app,
            FaultProxy((broker.host, broker.port)) as proxy,
            device("handler_raises", proxy) as dut,
        ):
            await dut.expect("ready")
            await app.publish(kind, "bad")
            failed = await dut.expect("handler_failed")
            assert failed["error"] == "ValueError" and failed["reason"] == f"{kind} handler"
            await app.publish(kind, "good")
            assert (await dut.expect("message"))["payload"] == "good"
            proxy.cut()
            await dut.expect("offline")
            proxy.heal()
            await dut.expect("online")
            await app.publish(kind, "after")
            # It was acknowledged all the same, so it does not come again.
            assert (await dut.expect("message"))["payload"] == "after"
            await finish(dut)
            assert dut.of("counted")[0]["errors"] == 1

    run(scenario)


def test_a_handler_that_meets_a_cancelled_task_harms_no_other(broker):
    async def scenario() -> None:
        async with (
            Application(broker.port) as app,
            device("handler_waits_for_the_cancelled", broker) as dut,
        ):
            await dut.expect("ready")
            await app.publish("down", "bad")
            assert (await dut.expect("handler_failed"))["error"] == "CancelledError"
            await app.publish("down", "good")
            assert (await dut.expect("message"))["payload"] == "good"
            await finish(dut)

    run(scenario)


def test_slow_handlers_run_in_order_and_those_too_many_come_again(broker):
    async def scenario() -> None:
        async with (
            Application(broker.port) as app,
            FaultProxy((broker.host, broker.port)) as proxy,
            device("handler_is_slow", proxy) as dut,
        ):
            await dut.expect("ready")
            for i in range(20):
                await app.publish("down", str(i))
                if not i:
                    await dut.expect("begun")  # 16 more may wait
            for _ in range(3):
                assert (await dut.expect("overrun"))["topic"] == "down"
            await asyncio.sleep(2.5)  # keepalive is a second: the link lives on meanwhile
            assert not dut.of("offline")
            dut.tell()
            for i in range(17):
                handled = await dut.expect("handled")
                assert (handled["payload"], handled["running"]) == (str(i), 1)
            proxy.cut()
            await dut.expect("offline")
            proxy.heal()
            for i in range(17, 20):
                assert (await dut.expect("handled"))["payload"] == str(i)
            await finish(dut)

    run(scenario)


def test_a_handler_may_publish_and_subscribe(broker):
    async def scenario() -> None:
        async with (
            Application(broker.port, "up/#") as app,
            device("handler_publishes", broker) as dut,
        ):
            await dut.expect("ready")
            for i in range(50):
                await app.publish("down/1", str(i))
            heard = await app.hears(100)
            for topic in ("up/0", "up/1"):
                assert [int(m.payload) for m in heard if m.topic == topic] == list(range(50))
            await app.publish("down/2", "subscribed")
            assert (await dut.expect("message"))["payload"] == "subscribed"
            await finish(dut)

    run(scenario)


# Trouble


def test_keepalive_holds_a_silent_link(broker):
    async def scenario() -> None:
        async with recording(broker) as proxy, device("stays_on", proxy, 1, 4) as dut:
            await dut.expect("stopped")
            await dut.end()
            assert not dut.of("offline")
            (link,) = proxy.links
            # The server would have closed at 1.5 s.
            assert wire.kinds(link.up.log).count(wire.PINGREQ) >= 3
            assert wire.kinds(link.down.log).count(wire.PINGRESP) >= 3

    run(scenario)


def test_a_link_that_went_silent_is_found_and_replaced(broker):
    async def scenario() -> None:
        async with (
            FaultProxy((broker.host, broker.port)) as proxy,
            device("stays_on", proxy, 2, 7, "PINGRESP_MS=1000", "CONNACK_MS=500") as dut,
        ):
            await dut.expect("online")
            proxy.cut(Cut.STALL)
            lost = await dut.expect("offline", timeout_s=4)
            assert (lost["error"], lost["phase"]) == ("DeadlineError", "keepalive")
            # The network takes connections but leads nowhere.
            lost = await dut.expect("offline", timeout_s=4)
            assert (lost["error"], lost["phase"]) == ("DeadlineError", "login")
            proxy.heal()
            await dut.expect("online", timeout_s=4)
            await dut.end(timeout_s=10)
            assert all(event["typed"] for event in dut.of("offline"))

    run(scenario)


def test_an_answer_that_came_while_the_loop_was_blocked_came_in_time(broker):
    async def scenario() -> None:
        short = "ACKNOWLEDGE_MS=1000", "TICK_MS=300"
        async with device("blocks_the_loop", broker, 1500, *short) as dut:
            await dut.expect("stopped")
            assert not dut.of("offline")

    run(scenario)


def test_a_refused_login_says_so_and_slows_down(tmp_path):
    # A password file without users: every login is refused.
    passwords = tmp_path / "passwords"
    passwords.write_text("")
    settings = ("allow_anonymous false", f"password_file {passwords}")

    async def scenario() -> None:
        with Mosquitto(tmp_path, settings) as broker:
            async with recording(broker) as proxy, device("tries", proxy, "user", "pw") as dut:
                refused = await dut.expect("offline")
                assert (refused["error"], refused["code"]) == ("LoginRefused", 5)
                assert (refused["phase"], refused["typed"]) == ("login", True)
                assert "CONNACK 5" in refused["reason"]
                await asyncio.sleep(1.5)  # other failures are tried again after 5, 10, 20 ms
                assert len(proxy.links) == 1
                await finish(dut)
                assert "pw" not in str(dut.events)

    run(scenario)


def test_a_refused_connection_is_tried_until_the_server_is_there(broker):
    async def scenario() -> None:
        async with (
            FaultProxy((broker.host, broker.port)) as proxy,
            device("tries", proxy) as dut,
        ):
            await dut.expect("online")
            proxy.cut()
            assert (await dut.expect("offline"))["typed"]
            for _ in range(3):
                refused = await dut.expect("offline")
                assert (refused["error"], refused["code"]) == ("LinkError", 111)
                assert refused["phase"] == "network"
            proxy.heal()
            await dut.expect("online")
            await finish(dut)

    run(scenario)


def test_a_name_that_does_not_resolve(broker):
    async def scenario() -> None:
        async with DeviceProgram(PROGRAM, "tries", "no-such-host.invalid", 1883) as dut:
            for _ in range(2):
                failed = await dut.expect("offline", timeout_s=25)
                assert (failed["error"], failed["phase"]) == ("LinkError", "network")
                assert failed["code"] == -2
                assert "no-such-host.invalid" in failed["reason"]
            await finish(dut)

    run(scenario, deadline_s=60)


def test_what_waits_without_a_connection_ends_with_its_reason(broker):
    async def scenario() -> None:
        async with (
            Application(broker.port, "up") as app,
            FaultProxy((broker.host, broker.port)) as proxy,
        ):
            proxy.cut()
            async with device("waits_in_vain", proxy, "DELIVERY_MS=300") as dut:
                await until(lambda: len(dut.of("raised")) == 5)
                raised = {event["call"]: event["error"] for event in dut.of("raised")}
                assert raised == {
                    "online": "DeadlineError",
                    "publish_0": "NotConnected",
                    "publish_1": "DeadlineError",
                    "subscribe": "DeadlineError",
                    "flush": "DeadlineError",
                }
                proxy.heal()
                # The caller stopped waiting; the QoS 1 message did not.
                assert await app.hears(1) == [("up", b"kept")]
                await finish(dut)
            assert len(app.messages) == 1

    run(scenario)


@pytest.mark.parametrize("cut", list(Cut))
def test_publishes_through_an_outage_arrive_in_order(broker, cut):
    async def scenario() -> None:
        async with (
            Application(broker.port, "up") as app,
            FaultProxy((broker.host, broker.port)) as proxy,
            device("rides_an_outage", proxy, "ACKNOWLEDGE_MS=1500", "CONNACK_MS=500") as dut,
        ):
            await dut.expect("ready")
            proxy.cut(cut)
            dut.tell()
            queued = await dut.expect("queued")
            assert queued["queued"] + queued["unacknowledged"] == 30
            assert len(app.messages) == 1
            await asyncio.sleep(0.3)
            proxy.heal()
            dut.tell()
            await dut.expect("acknowledged")
            await dut.expect("stopped")
            await dut.end()
            heard = [int(message.payload) for message in await app.hears(32)]
            assert heard == list(range(32))
            assert all(event["typed"] for event in dut.of("offline"))

    run(scenario)


def test_a_full_queue_refuses_or_drops_the_oldest(broker):
    async def scenario(policy: str, raised: list[int], reason: str) -> None:
        async with (
            Application(broker.port, "up") as app,
            FaultProxy((broker.host, broker.port)) as proxy,
            device("fills_the_queue", proxy, policy) as dut,
        ):
            await dut.expect("ready")
            proxy.cut()
            dut.tell()
            queued = await dut.expect("queued")
            assert queued["queued"] == 5
            assert queued["dropped"] == (3 if policy == "drop_oldest" else 0)
            proxy.heal()
            dut.tell()
            await dut.expect("stopped")
            await dut.end()
            kept = [number for number in range(8) if number not in raised]
            assert [int(message.payload) for message in await app.hears(5)] == kept
            assert [event["number"] for event in dut.of("arrived")] == kept
            assert [event["number"] for event in dut.of("raised")] == raised
            for event in dut.of("raised"):
                assert event["error"] == "QueueFull" and reason in event["reason"]

    run(lambda: scenario("refuse", [5, 6, 7], "full"))
    run(lambda: scenario("drop_oldest", [0, 1, 2], "dropped"))


def test_stop_and_cancel_say_goodbye_and_leave_nothing_behind(broker):
    async def scenario() -> None:
        async with (
            Application(broker.port, "up") as app,
            recording(broker) as proxy,
            device("is_cancelled", proxy) as dut,
        ):
            assert (await dut.expect("cancelled"))["state"] == 0
            assert (await dut.expect("stopped"))["state"] == 0
            await dut.end()
            assert "runs already" in dut.of("refused")[0]["reason"]
            assert await app.hears(2) == [("up", b"undisturbed"), ("up", b"again")]
            for link in proxy.links:
                assert wire.kinds(link.up.log)[-1] == wire.DISCONNECT
            assert len(proxy.links) == 2
            assert not dut.of("offline")

    run(scenario)


def test_a_run_that_begins_as_the_last_one_ends_has_its_handlers_to_itself(broker):
    async def scenario() -> None:
        async with device("begins_anew_at_once", broker, 3) as dut:
            for number in range(4):
                assert (await dut.expect("handled"))["payload"] == f"whole {number}"
            await finish(dut)
            begun = [event["payload"] for event in dut.of("handling")]
            assert begun == [f"cut {turn}" for turn in range(3)] + [f"whole {n}" for n in range(4)]
            assert {event["running"] for event in dut.of("handling")} == {1}
            assert not dut.of("handler_failed")

    run(scenario)


def test_a_handler_that_stops_the_session_goes_on(broker):
    async def scenario() -> None:
        async with device("handler_stops", broker, 3) as dut:
            await dut.expect("over")
            assert [event["state"] for event in dut.of("handled")] == [0, 0, 0]
            assert not dut.of("handler_failed")

    run(scenario)


def test_a_moment_without_memory_costs_the_link_and_no_more(broker):
    async def scenario() -> None:
        async with (
            FaultProxy((broker.host, broker.port)) as proxy,
            device("runs_out_of_memory", proxy, "PINGRESP_MS=1000") as dut,
        ):
            await dut.expect("online")
            lost = await dut.expect("offline")
            assert (lost["error"], lost["typed"]) == ("LinkError", True)
            assert lost["reason"] == "out of memory"
            while dut.of("online")[-1] is not dut.events[-1]:
                await dut.expect("online")
            # The clock still ticks: a dead link is found.
            proxy.cut(Cut.STALL)
            assert (await dut.expect("offline"))["phase"] == "keepalive"
            await finish(dut)

    run(scenario)


def test_a_link_that_takes_no_more_bytes_is_given_up(broker):
    async def scenario() -> None:
        async with (
            Application(broker.port) as app,
            FaultProxy((broker.host, broker.port)) as proxy,
            device("floods_a_dead_link", proxy, "WRITE_STALL_MS=1000", "CONNACK_MS=500") as dut,
        ):
            await dut.expect("ready")
            proxy.cut(Cut.STALL)
            dut.tell()
            refused = await dut.expect("refused")
            assert (refused["error"], refused["typed"]) == ("QueueFull", True)
            assert (await dut.expect("raised"))["error"] == "NotConnected"
            lost = dut.of("offline")[0]
            assert (lost["error"], lost["phase"]) == ("DeadlineError", "publish")
            proxy.heal()
            await dut.expect("stopped")
            await dut.end()
            assert app.messages == []

    run(scenario)
