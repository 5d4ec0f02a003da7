"""A thousand real TCP connections to the hub, each of a device that comes back by the firmware's
Backoff whenever it loses its own."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from iothub.mqtt.backoff import Backoff

from tools.hub import Hub, HubConfig
from tools.hub.cli.serving import DATABASE_FILE
from tools.hub.login import sign

HOST = "127.0.0.1"
KEEPALIVE_S = 900
_NO_CLEAN_SESSION = 0xC0  # flags of CONNECT: user name and password follow
_ACCEPTED = 0


@dataclass(frozen=True)
class Account:
    product_id: str
    device_name: str
    secret: str = field(repr=False)

    def connect_packet(self) -> bytes:
        client_id = self.product_id + self.device_name
        user = f"{client_id};12010126;fleet;9999999999"
        password = sign(self.secret, user, "sha256") + b";hmacsha256"
        fields = (client_id.encode(), user.encode(), password)
        body = b"\x00\x04MQTT\x04" + bytes((_NO_CLEAN_SESSION,)) + KEEPALIVE_S.to_bytes(2, "big")
        body += b"".join(len(field).to_bytes(2, "big") + field for field in fields)
        return b"\x10" + bytes((len(body) & 0x7F | 0x80, len(body) >> 7)) + body


async def make_accounts(data: Path, count: int) -> list[Account]:
    """Devices of a hub whose data will be in `data`, made by one in this process: a thousand calls
    of the API take many seconds."""
    data.mkdir()
    async with Hub(HubConfig(mqtt_port=0, api_port=0, database=str(data / DATABASE_FILE))) as hub:
        product_id = hub.registry.add_product("fleet").product_id
        names = [f"dev{number}" for number in range(count)]
        secrets = [hub.registry.add_device(product_id, name).secret or "" for name in names]
        return [Account(product_id, *each) for each in zip(names, secrets, strict=True)]


class Fleet:
    """`async with Fleet(...)`: every account has a task that logs in again and again. Waits are
    `scale` times the firmware's. `online`, `refused` and `attempts` count."""

    def __init__(self, accounts: Sequence[Account], port: int, seed: int, scale: float) -> None:
        self.port = port
        self.online = 0
        self.refused = 0
        self.attempts = 0
        self.sessions_present = 0
        self.arrived_s: list[float] = []
        self._accounts = accounts
        self._random = random.Random(seed)
        self._scale = scale
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> "Fleet":
        self._tasks = [asyncio.create_task(self._live(each)) for each in self._accounts]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def begin(self) -> None:
        """Counts from here on."""
        self.arrived_s.clear()
        self.attempts = self.refused = self.sessions_present = 0

    async def _live(self, account: Account) -> None:
        packet = account.connect_packet()
        backoff = Backoff(self._random.randrange)
        while True:
            if await self._session(packet):
                backoff.reset()
            await asyncio.sleep(backoff.next_ms() / 1000 * self._scale)

    async def _session(self, packet: bytes) -> bool:
        """One connection from its first byte to its last; whether the login was accepted."""
        self.attempts += 1
        accepted = False
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(HOST, self.port)
            try:
                writer.write(packet)
                _, _, present, code = await reader.readexactly(4)
                accepted = code == _ACCEPTED
                if accepted:
                    self.online += 1
                    self.arrived_s.append(self._loop.time())
                    self.sessions_present += present
                    await reader.read()
                else:
                    self.refused += 1
            finally:
                writer.close()  # also when it is cancelled: else the socket stays open
        self.online -= accepted
        return accepted
