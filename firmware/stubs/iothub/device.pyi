from collections.abc import Callable
from typing import Any, TypeVar

from iothub.clock import Clock
from iothub.config import Config
from iothub.credentials import Identity
from iothub.errors import IoTHubError
from iothub.net.coap import CoapPublisher
from iothub.net.log import DeviceLog
from iothub.net.ota import DeviceOta
from iothub.net.publish import HttpPublisher
from iothub.net.session import Session
from iothub.services.broadcast import Broadcast
from iothub.services.config import RemoteConfig
from iothub.services.gateway import Gateway
from iothub.services.rrpc import Rrpc
from iothub.services.shadow import Shadow

CLOCK_SET: int

_OnMessage = TypeVar("_OnMessage", bound=Callable[[bytes, bytes], object])

class Device:
    settings: dict[str, Any]
    identity: Identity
    clock: Clock
    last_error: IoTHubError | None
    network: Any
    transport: str
    session: Session
    broadcast: Broadcast
    coap: CoapPublisher
    gateway: Gateway
    http: HttpPublisher
    log: DeviceLog
    ota: DeviceOta
    remote_config: RemoteConfig
    rrpc: Rrpc
    shadow: Shadow
    def __init__(
        self,
        config: Config,
        on_event: Callable[[int, Any], object] | None = None,
        network: Any = None,
    ) -> None: ...
    @classmethod
    def from_file(
        cls,
        path: str = "device.json",
        on_event: Callable[[int, Any], object] | None = None,
        network: Any = None,
    ) -> Device: ...
    async def run(self) -> None: ...
    async def stop(self) -> None: ...
    async def online(self, timeout_ms: int | None = 120000) -> None: ...
    @property
    def is_online(self) -> bool: ...
    @property
    def acknowledged(self) -> int: ...
    def topic(self, name: str | bytes) -> bytes: ...
    async def publish(
        self, name: str | bytes, payload: str | bytes, qos: int = 1, wait: bool = True
    ) -> None: ...
    def publish_nowait(self, name: str | bytes, payload: str | bytes, qos: int = 0) -> None: ...
    def on_command(self, handler: _OnMessage) -> _OnMessage: ...
    def on(self, name: str | bytes, qos: int = 1) -> Callable[[_OnMessage], _OnMessage]: ...
