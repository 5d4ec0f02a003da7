from collections.abc import Callable
from typing import TypeVar

from iothub.credentials import Identity

OFFLINE: int
COMING: int
ONLINE: int
LEAVING: int
LOST: int

_OnMessage = TypeVar("_OnMessage", bound=Callable[[bytes, bytes], object])
_OnChange = TypeVar("_OnChange", bound=Callable[[bool, list[Identity]], object])
_OnSearch = TypeVar("_OnSearch", bound=Callable[[int], object])

class SubDevice(Identity):
    state: int
    @property
    def is_online(self) -> bool: ...
    def topic(self, name: str | bytes) -> bytes: ...
    async def publish(self, name: str | bytes, payload: str | bytes, qos: int = 1) -> None: ...
    def on(self, name: str | bytes, qos: int = 1) -> Callable[[_OnMessage], _OnMessage]: ...

class Gateway:
    links: int
    unmatched: int
    def sub_device(self, product_id: str, device_name: str) -> SubDevice: ...
    def on_change(self, handler: _OnChange) -> _OnChange: ...
    def on_search(self, handler: _OnSearch) -> _OnSearch: ...
    async def bind(
        self,
        sub_device: SubDevice,
        secret: str | None = None,
        certificate: bytes | None = None,
        algorithm: str = "hmacsha1",
        digest: str = "md5",
    ) -> None: ...
    async def unbind(self, *sub_devices: SubDevice) -> None: ...
    async def online(self, *sub_devices: SubDevice) -> None: ...
    async def offline(self, *sub_devices: SubDevice) -> None: ...
    async def describe(self) -> list[Identity]: ...
