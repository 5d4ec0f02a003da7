"""A device with a kept session and its queue on flash, killed at any moment and started again,
against mosquitto and the hub: what it was told is safe arrives, and what waits for it is there."""

import asyncio
import contextlib
import itertools
import json
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.reboot_clouds import CLOUDS, Cloud
from host_tests.e2e.scenario import run, until
from host_tests.faults import wire
from tools.faults import Cut, FaultProxy, Link

pytestmark = [requires("mosquitto"), pytest.mark.parametrize("cloud_name", CLOUDS)]

KILLS = 12
SWEEP_KILLS = 300
_DEADLINE_S = 60.0
_RECORD_BYTES = 1 << 22


class Bench:
    """A device's flash and configuration, and the proxy between it and its cloud."""

    def __init__(self, folder: Path, cloud: Cloud, proxy: FaultProxy) -> None:
        self.cloud = cloud
        self.proxy = proxy
        self._folder = folder
        self._starts = 0

    def start(self, *filters: str, on_flash: bool = True) -> DeviceProgram:
        """The device, to be killed at the end of its block."""
        self._starts += 1
        config = self._folder / "device.json"
        queue = {"flash": True} if on_flash else {"max_messages": 1000, "max_bytes": 65536}
        settings = self.cloud.settings | {"port": self.proxy.port, "queue": queue}
        config.write_text(json.dumps(settings))
        flash = self._folder / "flash"
        flash.mkdir(exist_ok=True)
        run_name = f"{self._starts:03}"
        return DeviceProgram("reboot_program.py", config, flash, run_name, *filters)


@contextlib.asynccontextmanager
async def bench(folder: Path, cloud_name: str) -> AsyncIterator[Bench]:
    async with (
        CLOUDS[cloud_name](folder) as cloud,
        FaultProxy(("127.0.0.1", cloud.port), record_bytes=_RECORD_BYTES) as proxy,
    ):
        yield Bench(folder, cloud, proxy)


async def publish_through_kills(bench: Bench, kills: int, on_flash: bool = True) -> list[str]:
    """What the device told is safe, until the last of it had time to arrive."""
    chance = random.Random(kills)
    safe: list[str] = []
    for _ in range(kills):
        if chance.random() < 0.3:
            bench.proxy.cut(chance.choice(list(Cut)))
        async with bench.start(on_flash=on_flash) as device:
            await device.expect("started")
            device.tell("publish 1000")
            await device.expect("safe")
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(chance.random() * 0.2)
                bench.proxy.cut(chance.choice(list(Cut)))
                await asyncio.sleep(chance.random() * 0.2)
                bench.proxy.heal()
            await asyncio.sleep(chance.random() * 0.4)
        bench.proxy.heal()
        safe += [event["text"] for event in device.of("safe")]
        assert not device.of("refused")
    async with bench.start(on_flash=on_flash) as device:
        device.tell("flush")
        await device.expect("flushed")
    return safe


def judge(safe: list[str], heard: list[str], links: list[Link]) -> int:
    """Nothing lost, nothing out of order; what was sent before comes with DUP and its id. Returns
    how many came again."""
    first_heard = list(dict.fromkeys(heard))
    assert set(safe) <= set(first_heard), f"lost: {sorted(set(safe) - set(first_heard))[:5]}"
    assert first_heard == sorted(first_heard, key=numbers), "out of order"
    packet_ids: dict[bytes, int] = {}
    again = 0
    for link in links:
        assert len(link.up.log) < _RECORD_BYTES
        for publish in wire.publishes(link.up.log):
            if not publish.qos:
                continue
            if publish.payload in packet_ids:
                assert publish.dup, f"sent again without DUP: {publish}"
                assert publish.packet_id == packet_ids[publish.payload], publish
                again += 1
            packet_ids[publish.payload] = publish.packet_id
    return again


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split("-")]


def test_what_was_told_to_be_safe_arrives(tmp_path, cloud_name, sweep_full):
    async def scenario() -> None:
        async with bench(tmp_path, cloud_name) as it:
            safe = await publish_through_kills(it, SWEEP_KILLS if sweep_full else KILLS)
            await until(lambda: set(safe) <= set(it.cloud.heard()))
            heard = it.cloud.heard()
            again = judge(safe, heard, it.proxy.links)
            twice = len(heard) - len(set(heard))
            print(f"{cloud_name}: {len(safe)} safe, {again} sent again, {twice} arrived twice")
            assert again, "no kill hit what was on its way"

    run(scenario, 1800 if sweep_full else _DEADLINE_S)


def test_a_queue_in_ram_would_be_found(tmp_path, cloud_name):
    async def scenario() -> None:
        async with bench(tmp_path, cloud_name) as it:
            safe = await publish_through_kills(it, 4, on_flash=False)
            with pytest.raises(AssertionError, match="lost"):
                judge(safe, it.cloud.heard(), [])

    run(scenario, _DEADLINE_S)


def test_what_was_stored_for_it_arrives(tmp_path, cloud_name):
    texts = ["one", "two", "three", "four"]

    async def scenario() -> None:
        async with bench(tmp_path, cloud_name) as it:
            async with it.start() as device:
                assert (await device.expect("online"))["present"] is False
                await _granted(device, it.cloud, "control")
                it.proxy.cut()
            await it.cloud.notices_it_is_gone()
            for text in texts:
                await it.cloud.send("control", text)
            it.proxy.heal()
            async with it.start() as device:
                assert (await device.expect("online"))["present"] is True
                messages = [await device.expect("message") for _ in texts]
                assert [message["text"] for message in messages] == texts
                times_ms = [message["at_ms"] for message in messages]
                gaps_ms = [later - earlier for earlier, later in itertools.pairwise(times_ms)]
                print(f"{cloud_name}: stored messages came {gaps_ms} ms apart")
                if it.cloud.stored_interval_ms:
                    # The timer of either side may be a little early or late.
                    assert min(gaps_ms) > 0.9 * it.cloud.stored_interval_ms
                assert not device.of("session_lost") and not device.of("unhandled")
                # PUBACKs leave together, after the last message of what was read at once.
                link = it.proxy.links[-1]
                await until(lambda: wire.kinds(link.up.log).count(wire.PUBACK) == len(texts))
            # Acknowledged, so they do not come again.
            async with it.start() as device:
                await device.expect("online")
                await it.cloud.send("control", "five")
                assert (await device.expect("message"))["text"] == "five"

    run(scenario, _DEADLINE_S)


def test_a_session_the_server_lost_is_noticed_and_repaired(tmp_path, cloud_name):
    async def scenario() -> None:
        async with bench(tmp_path, cloud_name) as it:
            async with it.start() as device:
                await _granted(device, it.cloud, "control")
                await it.cloud.forget_session()
                await device.expect("session_lost")
                assert (await device.expect("online"))["present"] is False
                await _granted(device, it.cloud, "control")
                await it.cloud.send("control", "repaired")
                assert (await device.expect("message"))["text"] == "repaired"
            # And while the device is off.
            await it.cloud.forget_session()
            async with it.start() as device:
                assert (await device.expect("online"))["present"] is False
                await _granted(device, it.cloud, "control")
                await it.cloud.send("control", "again")
                assert (await device.expect("message"))["text"] == "again"

    run(scenario, _DEADLINE_S)


def test_changed_filters_are_told_even_when_the_session_is_present(tmp_path, cloud_name):
    async def scenario() -> None:
        async with bench(tmp_path, cloud_name) as it:
            async with it.start() as device:
                await _granted(device, it.cloud, "control")
                it.proxy.cut()
                await device.expect("offline")
                device.tell("listen data")
                await device.expect("listening")
                device.tell("ignore control")
                await device.expect("ignoring")
                it.proxy.heal()
                await _granted(device, it.cloud, "data")
                assert device.of("online")[-1]["present"] is True
                assert _requests(it.proxy.links[-1]) == [
                    (wire.UNSUBSCRIBE, [it.cloud.prefix + "control"]),
                    (wire.SUBSCRIBE, [it.cloud.prefix + "data"]),
                ]
                await it.cloud.send("data", "heard")
                assert (await device.expect("message"))["text"] == "heard"
            # After a reset the device does not know what the session holds: it says all again.
            async with it.start("data") as device:
                assert (await device.expect("online"))["present"] is True
                await _granted(device, it.cloud, "data")
                ((kind, topics),) = _requests(it.proxy.links[-1])
                assert kind == wire.SUBSCRIBE
                assert {it.cloud.prefix + "control", it.cloud.prefix + "data"} <= set(topics)
                for name in ("control", "data"):
                    await it.cloud.send(name, name)
                    assert (await device.expect("message"))["text"] == name

    run(scenario, _DEADLINE_S)


async def _granted(device: DeviceProgram, cloud: Cloud, name: str) -> None:
    while (await device.expect("granted"))["topic"] != cloud.prefix + name:
        pass


def _requests(link: Link) -> list[tuple[int, list[str]]]:
    """The SUBSCRIBE and UNSUBSCRIBE packets of a link, with their filters."""
    found = []
    for packet in wire.packets(link.up.log):
        if packet.kind in (wire.SUBSCRIBE, wire.UNSUBSCRIBE):
            found.append((packet.kind, list(_filters(packet))))
    return found


def _filters(packet: wire.Packet) -> list[str]:
    filters = []
    at = 2
    while at < len(packet.body):
        end = at + 2 + int.from_bytes(packet.body[at : at + 2], "big")
        filters.append(packet.body[at + 2 : end].decode())
        at = end + (packet.kind == wire.SUBSCRIBE)
    return filters
