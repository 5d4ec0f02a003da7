from collections.abc import Callable
from typing import Any, TypeVar

_OnConfig = TypeVar("_OnConfig", bound=Callable[[dict[str, Any]], object])

class RemoteConfig:
    current: dict[str, Any] | None
    def on_change(self, handler: _OnConfig) -> _OnConfig: ...
    async def get(self) -> dict[str, Any]: ...
