"""The hub assembled: store, broker, listener and API, started and stopped together."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from tools.hub.api.server import ApiServer
from tools.hub.broker.broker import Broker
from tools.hub.broker.commit import CommitCycle
from tools.hub.broker.context import Context
from tools.hub.broker.listener import TcpListener
from tools.hub.clock import HubClock
from tools.hub.config import HubConfig
from tools.hub.events import Records
from tools.hub.faults import Faults
from tools.hub.registry import Registry
from tools.hub.store import Store

_CLOSING_ROUNDS = 100


class Hub:
    """`async with Hub(config) as hub:`, and `mqtt_port` and `api_port` are the real ones."""

    def __init__(self, config: HubConfig) -> None:
        self.config = config
        self.mqtt_port = 0
        self.api_port = 0

    async def __aenter__(self) -> Self:
        """Raises StoreError or ListenError, with nothing left open."""
        self.clock = HubClock(self.config.clock_offset_s)
        self.store = Store(self.config.database)
        try:
            self.records = Records(self.store, self.clock)
            self.registry = Registry(self.store, self.clock, self.records)
            self.faults = Faults(self.records)
            self.broker = Broker(
                Context(
                    self.config,
                    self.clock,
                    self.store,
                    self.records,
                    self.registry,
                    self.faults,
                    CommitCycle(self.store),
                )
            )
            self._listener = TcpListener(self.broker, self.config.host, self.config.mqtt_port)
            self.mqtt_port = await self._listener.start()
            self._api = ApiServer(self.broker, self.mqtt_port)
            try:
                self.api_port = await self._api.start()
            except BaseException:
                self._listener.stop()
                raise
        except BaseException:
            self.store.close()
            raise
        self._sweeper = asyncio.create_task(self._sweep())
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._sweeper.cancel()
        self._listener.stop()
        for watcher in self.records.watchers:
            watcher.end()
        await self._api.stop()
        self.broker.shut_down()
        for _ in range(_CLOSING_ROUNDS):
            if not self.broker.connections:
                break
            await asyncio.sleep(self.config.linger_s / _CLOSING_ROUNDS)
        self.broker.context.commits.stop()
        self.store.close()

    async def _sweep(self) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(self.config.sweep_interval_s)
                self.broker.sweep()
