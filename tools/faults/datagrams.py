"""A UDP relay that loses, doubles and reorders datagrams, the same way for the same seed."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

_LOOPBACK = "127.0.0.1"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class DatagramFaults:
    """Shares of the datagrams, 0 to 1, in each direction. What is held back arrives `hold_ms`
    later, after those that were sent meanwhile."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    hold_ms: float = 30.0


@dataclass
class Counts:
    """What was done to the datagrams of one direction."""

    passed: int = 0
    lost: int = 0
    doubled: int = 0
    held: int = 0


class _Port(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._take(data, addr)

    def error_received(self, exc: Exception) -> None:
        pass  # the other side is not there; to a sender of datagrams that is a loss


class _Flow:
    """One direction: its faults fall by dice of its own, so that the other does not matter."""

    def __init__(self, faults: DatagramFaults, seed: str) -> None:
        self.counts = Counts()
        self._faults = faults
        self._dice = random.Random(seed)
        self._loop = asyncio.get_running_loop()

    def pass_on(self, send: Callable[[], None]) -> None:
        faults, dice, counts = self._faults, self._dice, self.counts
        lost, doubled, held = dice.random(), dice.random(), dice.random()
        if lost < faults.loss:
            counts.lost += 1
            return
        copies = 1
        if doubled < faults.duplication:
            counts.doubled += 1
            copies = 2
        for copy in range(copies):
            counts.passed += 1
            # Of a pair, the second alone is late: a copy that comes after what follows it.
            if held < faults.reordering and copy == copies - 1:
                counts.held += 1
                self._loop.call_later(faults.hold_ms / 1000, send)
            else:
                send()


class DatagramRelay:
    """`async with DatagramRelay((host, port), faults, seed) as relay:` listens on `relay.port` and
    gives each sender a port of its own to the target. `up` and `down` count."""

    def __init__(
        self, target: Address, faults: DatagramFaults | None = None, seed: int = 1
    ) -> None:
        self.port = 0
        self._target = target
        self._faults = faults or DatagramFaults()
        self._seed = seed
        self._links: dict[Address, asyncio.DatagramTransport] = {}
        self._opening: dict[Address, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._up = _Flow(self._faults, f"{self._seed} up")
        self._down = _Flow(self._faults, f"{self._seed} down")
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Port(self._from_client), (_LOOPBACK, 0)
        )
        self._near = transport
        self.port = cast(Address, transport.get_extra_info("sockname"))[1]
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        for transport in (self._near, *self._links.values()):
            transport.close()
        await asyncio.sleep(0)  # they close their sockets in the next round

    @property
    def up(self) -> Counts:
        return self._up.counts

    @property
    def down(self) -> Counts:
        return self._down.counts

    def _from_client(self, data: bytes, client: Address) -> None:
        if client in self._links:
            self._send_up(data, client)
        elif client in self._opening:
            self._opening[client].append(data)
        else:
            self._opening[client] = [data]
            task = asyncio.create_task(self._open(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self, client: Address) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Port(lambda data, _: self._send_down(data, client)),
            remote_addr=self._target,
        )
        self._links[client] = transport
        for data in self._opening.pop(client):
            self._send_up(data, client)

    def _send_up(self, data: bytes, client: Address) -> None:
        link = self._links[client]
        self._up.pass_on(lambda: None if link.is_closing() else link.sendto(data))

    def _send_down(self, data: bytes, client: Address) -> None:
        near = self._near
        self._down.pass_on(lambda: None if near.is_closing() else near.sendto(data, client))
