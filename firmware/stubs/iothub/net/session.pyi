from collections.abc import Callable

from iothub.mqtt.engine import Subscription

OFFLINE: int
HANDLER_FAILED: int
UNHANDLED: int
OVERRUN: int

class Session:
    state: int
    handler_errors: int
    is_away: bool
    @property
    def is_online(self) -> bool: ...
    async def run(self) -> None: ...
    async def stop(self) -> None: ...
    async def step_aside(self) -> None: ...
    def step_back(self) -> None: ...
    async def online(self, timeout_ms: int | None = 120000) -> None: ...
    async def publish(
        self,
        topic: str | bytes,
        payload: str | bytes,
        qos: int = 0,
        wait: bool = True,
        retain: bool = False,
    ) -> None: ...
    def publish_nowait(
        self, topic: str | bytes, payload: str | bytes, qos: int = 0, retain: bool = False
    ) -> None: ...
    async def flush(self, timeout_ms: int = 120000) -> None: ...
    def register(
        self,
        pattern: str | bytes,
        handler: Callable[..., object],
        qos: int = 1,
        takes_view: bool = False,
    ) -> Subscription: ...
    async def subscribe(
        self,
        pattern: str | bytes,
        handler: Callable[..., object],
        qos: int = 1,
        takes_view: bool = False,
    ) -> None: ...
    async def unsubscribe(self, pattern: str | bytes) -> None: ...
