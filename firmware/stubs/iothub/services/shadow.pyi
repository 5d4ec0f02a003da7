from collections.abc import Callable
from typing import Any, TypeVar

OFFLINE: int
GETTING: int
IDLE: int
UPDATING: int
PAUSED: int

_OnDesired = TypeVar("_OnDesired", bound=Callable[[Any], object])

class Shadow:
    state: int
    reported: dict[str, Any]
    desired: dict[str, Any]
    metadata: dict[str, Any]
    version: int
    unmatched: int
    def on_delta(self, handler: _OnDesired) -> _OnDesired: ...
    def on(self, key: str) -> Callable[[_OnDesired], _OnDesired]: ...
    async def report(self, changes: dict[str, Any]) -> None: ...
    def report_nowait(self, changes: dict[str, Any]) -> object: ...
    async def get(self) -> dict[str, Any]: ...
    async def clear_desired(self, *keys: str) -> None: ...
