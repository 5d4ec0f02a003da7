"""The stage: a hub whose clock is an hour off, a network that can be cut, a thermostat."""

import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.demo.board import HEAP, Board
from tools.demo.cloud import Cloud
from tools.demo.errors import ChapterFailed
from tools.demo.narrator import Narrator
from tools.demo.props import EXAMPLES, device_path, props_of
from tools.demo.vendor_cloud import VendorCloud
from tools.faults import FaultProxy
from tools.hub.app import Hub
from tools.hub.config import HubConfig

# How the device connects: by which listener of the hub.
TRANSPORTS = {"tcp": "tcp", "tls": "tls", "psk": "tls", "ws": "ws", "wss": "wss"}
HUB_OFFSET_S = 3600
INTERVAL_MS = 400
_ONLINE_TIMEOUT_S = 10.0
_AGREE_TIMEOUT_S = 10.0
_POLL_S = 0.05


class ExampleBoard(Board):
    """Runs one of firmware/examples. `device` is "PID/DN", `beside` its sub-device."""

    device = ""
    beside = ""


@dataclass
class Story:
    """What the chapters play with. `device` is "PID/DN"."""

    narrator: Narrator
    cloud: Cloud
    network: FaultProxy
    board: Board
    device: str
    configuration: dict[str, Any]
    trust_anchor: bytes
    workshop: Path
    hub: Hub
    _scenes: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextlib.asynccontextmanager
    async def example(self, name: str) -> AsyncIterator[ExampleBoard]:
        """A board with this program and what it needs of the hub, not switched on yet."""
        props = await props_of(self.cloud, name, f"{name} {next(self._scenes)}")
        flash = self.workshop / props.device.replace("/", "-")
        board = ExampleBoard(flash, lambda line: self.narrator.device(line, name))
        board.device, board.beside = props.device, props.beside
        board.install_program(
            self.board.flash, EXAMPLES / f"{name}.py", {**self.ways, **props.fields}
        )
        try:
            yield board
        finally:
            await board.power_off()

    @property
    def ways(self) -> dict[str, Any]:
        """What every device.json says of how to reach the hub."""
        ports = self.hub.address.ports
        return {
            **{name: self.configuration[name] for name in ("host", "port", "transport")},
            "http": {"transport": "https", "host": "localhost", "port": ports["https"]},
            "coap": {"transport": "auto", "host": "localhost", "port": ports["coap"]},
        }

    async def subscribed(self, device: str, family: str) -> None:
        """Waits until a device has subscribed to a topic of this family."""

        async def families() -> bool:
            shown = await self.cloud.get(device_path(device))
            return any(each["topic"].startswith(family) for each in shown["subscriptions"])

        await self.until_equal(families, True)

    async def until_equal(self, look: Callable[[], Awaitable[Any]], wanted: Any) -> None:
        """Asks the hub until it says what is wanted."""
        give_up_s = time.monotonic() + _AGREE_TIMEOUT_S
        while (found := await look()) != wanted:
            if time.monotonic() > give_up_s:
                raise ChapterFailed(f"the hub has {found}, not {wanted}")
            await asyncio.sleep(_POLL_S)

    def vendor_cloud(self) -> VendorCloud:
        """The vendor's client, with the hub's keys."""
        authority = self.workshop / "ca.pem"
        authority.write_bytes(self.hub.authority.certificate_pem)
        keys = self.hub.cloud.keys
        endpoint = f"127.0.0.1:{self.hub.address.ports['cloud']}"
        return VendorCloud(endpoint, authority, keys.secret_id, keys.secret_key)

    def another_board(self, name: str, **changes: str) -> Board:
        """A second board, heard under its own name, whose configuration differs in `changes`."""
        board = Board(self.workshop / name, lambda line: self.narrator.device(line, name))
        board.install({**self.configuration, **changes}, self.trust_anchor)
        return board

    async def waiting_for_numbers(self, least: int) -> int:
        """Waits until the device has at least `least` messages acknowledged; returns how many."""
        for after in itertools.count():
            found = await self.board.says(r"on its way, (\d+) acknowledged", 20, after)
            if int(found[1]) >= least:
                return int(found[1])
        raise AssertionError("unreachable")

    def acknowledged(self) -> int:
        """How many of its messages the device believes to have arrived, by its last word."""
        for line in reversed(self.board.lines):
            if " acknowledged" in line:
                return int(line.split(" acknowledged")[0].rsplit(" ", 1)[1])
        return 0

    async def expect_all_arrived(self) -> int:
        """Compares what the device believes to have delivered with what the hub recorded."""
        believed = self.acknowledged()
        sequence = [m["fields"]["seq"] for m in await self.cloud.messages(self.device)]
        first_time = list(dict.fromkeys(sequence))
        if first_time != list(range(1, len(first_time) + 1)):
            raise ChapterFailed(f"the hub has a gap or a disorder in {sequence}")
        if len(first_time) < believed:
            raise ChapterFailed(f"the device believes in {believed}, the hub has {first_time}")
        repeated = [m for m in await self.cloud.messages(self.device) if m["dup"]]
        if len(sequence) - len(first_time) > len(repeated):
            raise ChapterFailed(f"the hub got a message twice without DUP: {sequence}")
        return len(first_time)


@contextlib.asynccontextmanager
async def stage(narrator: Narrator, transport: str) -> AsyncIterator[Story]:
    """Sets everything up, boots the thermostat, and clears it all away afterwards."""
    hub_config = HubConfig(
        mqtt_port=0,
        tls_port=0,
        ws_port=0,
        wss_port=0,
        https_port=0,
        coap_port=0,
        cloud_port=0,
        api_port=0,
        clock_offset_s=HUB_OFFSET_S,
    )
    async with contextlib.AsyncExitStack() as stack:
        workshop = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iothub-demo-")))
        hub = await stack.enter_async_context(Hub(hub_config))
        cloud = await stack.enter_async_context(Cloud(hub.api_port))
        hub_port = hub.address.ports[TRANSPORTS[transport]]
        network = await stack.enter_async_context(FaultProxy(("127.0.0.1", hub_port)))
        product = await cloud.post("/products", {"name": "thermostat"})
        created = await cloud.post(
            f"/products/{product['product_id']}/devices", {"name": "living-room"}
        )
        configuration = {
            "product_id": product["product_id"],
            "device_name": "living-room",
            "device_secret": created["device_secret"],
            "host": "localhost",
            "port": network.port,
            "transport": transport,
            "app": {"interval_ms": INTERVAL_MS},
        }
        board = Board(workshop / "thermostat", narrator.device)
        compiled_bytes = board.install(configuration, hub.authority.certificate_der)
        narrator.tell(
            f"A hub on port {hub_port} ({transport}), its clock {HUB_OFFSET_S // 60} min ahead;"
            f" a board with {compiled_bytes} bytes of compiled firmware and a heap of {HEAP}."
        )
        stack.push_async_callback(board.power_off)
        await board.power_on()
        await board.says(r"\] online", _ONLINE_TIMEOUT_S)
        yield Story(
            narrator,
            cloud,
            network,
            board,
            f"{product['product_id']}/living-room",
            configuration,
            hub.authority.certificate_der,
            workshop,
            hub,
        )
