"""Our device's services against the hub, by the examples as they are, under MicroPython."""

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from host_tests.e2e.scenario import run, until
from host_tests.peers.test_services_mosquitto import Example
from tools.faults import FaultProxy
from tools.hub import Hub, HubConfig
from tools.hub.device_log import DeviceLog, LogQuery
from tools.hub.identity import Identity
from tools.hub.registry import Device, RegistryError
from tools.hub.services.shadow_document import MAX_STATE_BYTES

DEADLINE_S = 45.0
# Tells the level of its log whenever it changes.
LEVEL = """
import asyncio
from iothub import Device

device = Device.from_file("device.json")
log = device.log

async def main():
    running = asyncio.create_task(device.run())
    told = None
    while True:
        if log.level != told:
            told = log.level
            print("level", told)
        await asyncio.sleep_ms(20)

asyncio.run(main())
"""

# A gateway that has its product's secret registers a sub-device, which the hub does not know yet.
REGISTERING = """
import asyncio
import json
from iothub import Device, port
from iothub.config import Config
from iothub.net.register import enroll
from iothub.net.signed import Gateway
from iothub.services.signed import Signer

device = Device.from_file("device.json")
names = device.settings
meter = device.gateway.sub_device(names["product_id"], names["device_name"])
secret = names["product_secret"].encode()

async def main():
    running = asyncio.create_task(device.run())
    with open("device.json") as f:
        config = Config(json.load(f))
    given = await enroll(Gateway(config.__dict__, Signer(secret), None, port), meter, secret)
    await device.gateway.bind(meter, given["device_secret"])
    await device.gateway.online(meter)
    print("online:", meter)
    await running

asyncio.run(main())
"""


class Desk:
    """A hub, and devices behind a line that can be cut."""

    def __init__(self, hub: Hub, line: FaultProxy, folder: Path) -> None:
        self.hub = hub
        self.services = hub.broker.services
        self.line = line
        self._folder = folder

    def add(self, name: str, kind: str = "normal") -> Device:
        product = self.hub.registry.add_product(name, kind=kind)
        return self.hub.registry.add_device(product.product_id, name)

    def example(self, name: str | Path, device: Device, **fields: Any) -> Example:
        login = {
            "product_id": device.identity.product_id,
            "device_name": device.identity.device_name,
            "device_secret": device.secret,
        }
        return Example(self._folder, name, self.line.port, **login, **fields)

    def subscribed(self, device: Device, family: str) -> Callable[[], bool]:
        """Whether it is subscribed to a family of topics."""
        return lambda: any(
            topic.startswith(family) for topic, _ in self.hub.broker.subscriptions(device.identity)
        )


def scenario(test: Callable[[Desk], Coroutine[Any, Any, None]], folder: Path) -> None:
    async def whole() -> None:
        config = HubConfig(mqtt_port=0, api_port=0, http_port=0, rrpc_timeout_s=8.0)
        async with (
            Hub(config) as hub,
            FaultProxy(("127.0.0.1", hub.mqtt_port)) as line,
        ):
            await test(Desk(hub, line, folder))

    run(whole, DEADLINE_S)


def test_the_shadow(tmp_path):
    async def test(desk: Desk) -> None:
        lamp, shadows = desk.add("lamp"), desk.services.shadows
        # A wish from before it was ever online, half of it for a property it does not have.
        shadows.update_desired(lamp.identity, {"brightness": 150, "colour": "red"})
        async with desk.example("shadow", lamp) as device:
            await device.says("brightness 100")
            await device.says("unknown to this lamp: {'colour': 'red'}")

            def is_at(brightness: int) -> Callable[[], bool]:
                def check() -> bool:
                    document = shadows.get(lamp.identity)
                    return document.state(True) == {"reported": {"brightness": brightness}}

                return check

            await until(is_at(100))
            shadows.update_desired(lamp.identity, {"brightness": 30})
            await device.says("brightness 30")
            await until(is_at(30))
            # The answer never comes; what was applied is told once more.
            desk.hub.faults.arm("answer_withhold", lamp.identity.path, 1, {})
            shadows.update_desired(lamp.identity, {"brightness": 40})
            await device.says("brightness 40")
            desk.line.cut()
            shadows.update_desired(lamp.identity, {"brightness": 50})
            desk.line.heal()
            await device.says("brightness 50")
            await until(is_at(50), 20)
            # Anew, from nothing.
            shadows.delete(lamp.identity)
            shadows.update_desired(lamp.identity, {"brightness": 60})
            await device.says("brightness 60")
            await until(is_at(60))

    scenario(test, tmp_path)


def test_a_shadow_that_is_full(tmp_path):
    async def test(desk: Desk) -> None:
        lamp = desk.add("lamp")
        # Twice, as desired and as delta, it leaves no room for a report.
        filler = "x" * (MAX_STATE_BYTES // 2 - 30)
        desk.services.shadows.update_desired(lamp.identity, {"filler": filler})
        async with desk.example("shadow", lamp) as device:
            await device.says(r"shadow: the shadow refuses \(5011\)\. Too large: ")

    scenario(test, tmp_path)


def test_rrpc(tmp_path):
    async def test(desk: Desk) -> None:
        thing, rrpc = desk.add("thing"), desk.services.rrpc
        with pytest.raises(RegistryError, match="not online"):
            await rrpc.call(thing.identity, b"{}")
        async with desk.example("rrpc", thing):
            await until(desk.subscribed(thing, "$rrpc/"))

            async def call(method: str, takes_ms: int) -> bytes:
                request = json.dumps({"method": method, "takes_ms": takes_ms}).encode()
                return (await rrpc.call(thing.identity, request)).payload

            waits_ms = (400, 100, 250, 0)
            answers = await asyncio.gather(
                *(call(f"m{number}", wait) for number, wait in enumerate(waits_ms))
            )
            assert [json.loads(each) for each in answers] == [
                {"result": f"done m{number}"} for number in range(len(waits_ms))
            ]

    scenario(test, tmp_path)


def test_the_gateway(tmp_path):
    async def test(desk: Desk) -> None:
        gateway, meter = desk.add("gateway", "gateway"), desk.add("meter")
        names = {
            "product_id": meter.identity.product_id,
            "device_name": meter.identity.device_name,
            "device_secret": meter.secret,
        }
        control = f"{meter.identity.path}/control"

        def send(payload: bytes) -> str:
            return desk.hub.broker.send(meter.identity, control, payload, 1).state

        async with desk.example("gateway", gateway, app=names) as device:
            await device.says(f"online: .*{meter.identity.path}.* of .*{meter.identity.path}")
            await device.says("published")
            assert desk.hub.broker.presence.gateway_of(meter.identity) == gateway.identity
            page = DeviceLog(desk.hub.store).search(
                LogQuery(device=meter.identity.path, kinds=("publish_in",))
            )
            assert [each.detail["gateway"] for each in page.entries] == [gateway.identity.path]
            await until(lambda: send(b"one") == "sent")
            await device.says("for the meter: one")
            # It comes back with its gateway, and its topics with it.
            desk.line.cut()
            await until(lambda: not desk.hub.broker.presence.is_online(meter.identity))
            assert send(b"nobody there") == "dropped"
            desk.line.heal()
            await until(lambda: send(b"two") == "sent", 20)
            await device.says("for the meter: two")
            desk.services.topology.unbind_each(gateway.identity, [meter.identity])
            await device.says("unbound .*" + meter.identity.path)
            assert send(b"not bound") == "dropped"

            def acknowledged() -> bool:
                query = LogQuery(device=gateway.identity.path, keyword="change acknowledged")
                return bool(DeviceLog(desk.hub.store).search(query).entries)

            await until(acknowledged)

    scenario(test, tmp_path)


def test_a_gateway_registers_a_sub_device(tmp_path):
    (tmp_path / "registering.py").write_text(REGISTERING)

    async def test(desk: Desk) -> None:
        gateway, registry = desk.add("gateway", "gateway"), desk.hub.registry
        product = registry.add_product("meters")
        registry.set_registration(product.product_id, "auto", 1)
        meter = Identity(product.product_id, "meter")
        names = {**meter._asdict(), "product_secret": product.secret}
        http = {"transport": "http", "host": "127.0.0.1", "port": desk.hub.address.ports["http"]}
        program = desk.example(tmp_path / "registering.py", gateway, app=names, http=http)
        async with program as device:
            await device.says(f"online: .*{meter.path}")
            assert desk.hub.broker.presence.gateway_of(meter) == gateway.identity
            assert registry.device(*meter).registered

    scenario(test, tmp_path)


def test_a_binding_that_is_refused(tmp_path):
    async def test(desk: Desk) -> None:
        gateway, meter = desk.add("gateway", "gateway"), desk.add("meter")
        names = {
            "product_id": meter.identity.product_id,
            "device_name": meter.identity.device_name,
            "device_secret": base64.b64encode(bytes(16)).decode(),
        }
        async with desk.example("gateway", gateway, app=names) as device:
            said = await device.says("gateway: bind of .* refused")
            assert "(803)" in said.string
        assert desk.services.topology.sub_devices(gateway.identity) == []

    scenario(test, tmp_path)


def test_a_broadcast(tmp_path):
    async def test(desk: Desk) -> None:
        thing = desk.add("thing")
        async with desk.example("broadcast", thing) as device:
            await until(desk.subscribed(thing, "$broadcast/"))
            reached = desk.services.broadcast.send(thing.identity.product_id, "温度".encode())
            assert reached == (1, 0)
            await device.says("broadcast: 温度")

    scenario(test, tmp_path)


def test_the_remote_configuration(tmp_path):
    async def test(desk: Desk) -> None:
        thing, config = desk.add("thing"), desk.services.remote_config
        product_id = thing.identity.product_id
        config.set(product_id, {"rate": 1})
        async with desk.example("remote_config", thing) as device:
            await device.says("configuration: {'rate': 1}")
            await device.says("asked for: {'rate': 1}")
            config.set(product_id, {"rate": 2})
            assert config.push(product_id) == 1
            await device.says("configuration: {'rate': 2}")

    scenario(test, tmp_path)


def test_a_configuration_that_is_switched_off(tmp_path):
    async def test(desk: Desk) -> None:
        async with desk.example("remote_config", desk.add("thing")) as device:
            said = await device.says("remote configuration: refused")
            assert "(1001)" in said.string

    scenario(test, tmp_path)


def test_the_log_level_is_asked_for_and_pushed(tmp_path):
    (tmp_path / "level.py").write_text(LEVEL)

    async def test(desk: Desk) -> None:
        thing, level = desk.add("thing"), desk.services.log_level
        level.set(thing.identity, 2)
        async with desk.example(tmp_path / "level.py", thing) as device:
            await device.says("level 2")
            level.set(thing.identity, 4)
            await device.says("level 4")

    scenario(test, tmp_path)
