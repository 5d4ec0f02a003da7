"""The hub assembled: store, broker, listeners and API, started and stopped together."""

import asyncio
import socket
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Self

from tools.hub.address import Address, reachable
from tools.hub.api.server import ApiServer
from tools.hub.authority import Authority
from tools.hub.broker.broker import Broker
from tools.hub.broker.commit import CommitCycle
from tools.hub.broker.context import Context
from tools.hub.clock import HubClock
from tools.hub.cloud.api import CloudApi
from tools.hub.config import HubConfig
from tools.hub.events import Records
from tools.hub.faults import Faults
from tools.hub.gateways import Gateways
from tools.hub.iotmq.service import IotMq
from tools.hub.listeners import Listeners
from tools.hub.ota.links import Links
from tools.hub.provisioning import Provisioning
from tools.hub.registry import Registry
from tools.hub.rules.service import Rules
from tools.hub.store import Store

_CLOSING_ROUNDS = 100


class Hub:
    """`async with Hub(config) as hub:`, and `address.ports` and `api_port` are the real ones."""

    def __init__(self, config: HubConfig) -> None:
        self.config = config
        self.address = Address(reachable(config.host))
        self.api_port = 0

    @property
    def mqtt_port(self) -> int:
        """The port of plain MQTT; the others are in `address.ports`."""
        return self.address.ports["tcp"]

    async def __aenter__(self) -> Self:
        """Raises StoreError, FileError or ListenError, with nothing left open."""
        config = self.config
        self.clock = HubClock(config.clock_offset_s)
        self.authority = Authority(config.data / "ca" if config.data else None)
        self.store = Store(config.database)
        try:
            self.records = Records(self.store, self.clock)
            self.registry = Registry(self.store, self.clock, self.records)
            self.provisioning = Provisioning(
                self.registry, self.authority, self.address, config.data
            )
            self.faults = Faults(self.records)
            context = Context(
                config,
                self.clock,
                self.store,
                self.records,
                self.registry,
                self.faults,
                CommitCycle(self.store),
                count(self.store.highest_id("outbound") + 1),
            )
            self.broker = Broker(context)
            self.broker.updates.links = Links(self.address, self.clock)
            self.rules = Rules(self.broker, self.authority.certificate_pem)
            self.iotmq = IotMq(context)
            await self._open()
        except BaseException:
            self.store.close()
            raise
        self._sweeper = asyncio.create_task(self._sweep())
        return self

    async def _open(self) -> None:
        """Listen everywhere. Raises ListenError, with nothing left open."""
        host_names = [self.address.host, socket.gethostname()]
        self._listeners = Listeners(self.broker, self.authority, host_names)
        self._gateways = Gateways(self.broker, self.provisioning, self.authority, host_names)
        self.cloud = CloudApi(
            self.broker, self.provisioning, self.rules, self.address, self.authority, host_names
        )
        self._api = ApiServer(
            self.broker, self.provisioning, self.address, self.authority, self.iotmq, self.rules
        )
        try:
            self.address.ports |= await self._gateways.start()
            await self.iotmq.start()
            await self.cloud.start()
            self.api_port = await self._api.start()
            # Last: a fleet that waits for the hub must find it ready, and not wait in a heap.
            self.address.ports |= await self._listeners.start()
        except BaseException:
            self._listeners.stop()
            self.iotmq.stop()
            await self._gateways.stop()
            await self.cloud.stop()
            await self._api.stop()
            raise

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._sweeper.cancel()
        self._listeners.stop()
        self.iotmq.stop()
        for watcher in self.records.watchers:
            watcher.end()
        await self._api.stop()
        await self.cloud.stop()
        await self._gateways.stop()
        await self.rules.stop()
        self.broker.shut_down()
        self.iotmq.shut_down()
        for _ in range(_CLOSING_ROUNDS):
            if not self.broker.connections and not self.iotmq.connections():
                break
            await asyncio.sleep(self.config.linger_s / _CLOSING_ROUNDS)
        self.broker.context.commits.stop()
        self.broker.updates.close()
        self.store.close()

    async def _sweep(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(self.config.sweep_interval_s)
                self.broker.sweep()
                self.iotmq.sweep()
