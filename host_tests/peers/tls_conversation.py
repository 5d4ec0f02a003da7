"""What a device that came in by whatever way must be able to do there, and how its failures are
seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from host_tests.e2e.application import Application
from host_tests.e2e.device_program import DeviceProgram, Event
from host_tests.peers.tls_servers import (
    DEVICE_NAME,
    DEVICE_SECRET,
    HOST,
    PRODUCT_ID,
    PSK_HEX,
    Broker,
    Place,
)
from tools.faults import Cut, FaultProxy, Faults

PROGRAM = "tls_program.py"
MESSAGES = 300
# Topic, packet id and header take the rest of the 16 KiB a packet may have.
PAYLOAD_SIZES = (0, 1, 125, 126, 4000, 16370)


async def converse(
    place: Place,
    broker: Broker,
    login: Sequence[str] = (),
    faults: Faults | None = None,
    **fields: Any,
) -> Event:
    """Publishes 300 messages, echoes small and large ones, is cut off and comes back, and echoes
    again. Returns the event of the first login."""
    async with (
        Application(broker.plain_port, "up/#") as app,
        FaultProxy((HOST, broker.port), faults) as proxy,
        DeviceProgram(
            PROGRAM, "talks", place.config(proxy.port, **fields), MESSAGES, *login
        ) as dut,
    ):
        connected = await dut.expect("connected")
        await dut.expect("ready")
        await echoes(app)
        proxy.cut(Cut.RST)
        await dut.expect("offline")
        proxy.heal()
        await dut.expect("online")
        await echoes(app, PAYLOAD_SIZES[-1:])
        await finish(dut)
        counted = [message.payload for message in app.messages if message.topic == "up/count"]
        assert counted == [b"%d" % i for i in range(MESSAGES)]
        assert all(event["typed"] for event in dut.of("offline"))
        tells_no_secret(dut)
    return connected


async def converse_once(port: int, broker: Broker, place: Place, **fields: Any) -> None:
    """The same without being cut off, by way of a server that is not the broker itself."""
    async with (
        Application(broker.plain_port, "up/#") as app,
        DeviceProgram(PROGRAM, "talks", place.config(port, **fields), MESSAGES) as dut,
    ):
        await dut.expect("ready")
        await echoes(app)
        await finish(dut)
        counted = [message.payload for message in app.messages if message.topic == "up/count"]
        assert counted == [b"%d" % i for i in range(MESSAGES)]
        assert not dut.of("offline")
        tells_no_secret(dut)


async def talk_blocking(broker: Broker, config: Path) -> None:
    """The client of the REPL publishes to its event topic and hears its control topic."""
    prefix = f"{PRODUCT_ID}/{DEVICE_NAME}"
    async with (
        Application(broker.plain_port, f"{prefix}/event") as app,
        DeviceProgram(PROGRAM, "blocking", config) as dut,
    ):
        await dut.expect("ready")
        heard = [message.payload for message in await app.hears(2)]
        assert heard == ["22.5 °C".encode(), b"x" * 16000]
        for size in (10, 16000):
            await app.publish(f"{prefix}/control", b"c" * size)
            assert (await dut.expect("message"))["payload"] == "c" * size
        await dut.end()
        tells_no_secret(dut)


async def echoes(app: Application, sizes: Sequence[int] = PAYLOAD_SIZES) -> None:
    """The device sends back what it is sent, of each size."""
    for size in sizes:
        before = len([m for m in app.messages if m.topic == "up/echo"])
        payload = bytes(i * 7 & 0xFF for i in range(size))
        await app.publish("down", payload)
        while len(echoed := [m for m in app.messages if m.topic == "up/echo"]) == before:
            await app.hears(len(app.messages) + 1)
        assert echoed[-1].payload == payload, size


async def finish(dut: DeviceProgram) -> None:
    dut.tell()
    await dut.expect("stopped")
    await dut.end()


async def first_failure(scenario: str, config: Path, *arguments: object) -> Event:
    """What a device told first: of `tries` (asyncio) or `blocking`."""
    async with DeviceProgram(PROGRAM, scenario, config, *arguments) as dut:
        event = await dut.expect("refused" if scenario == "blocking" else "offline")
        tells_no_secret(dut)
    return event


async def refusal(scenario: str, config: Path) -> Event:
    """What is refused before anything is sent."""
    async with DeviceProgram(PROGRAM, scenario, config) as dut:
        event = await dut.expect("refused")
        tells_no_secret(dut)
        await dut.end()
    assert (event["error"], event["phase"]) == ("BadInput", "config")
    return event


def tells_no_secret(dut: DeviceProgram) -> None:
    told = str(dut.events)
    assert DEVICE_SECRET not in told
    assert PSK_HEX not in told
