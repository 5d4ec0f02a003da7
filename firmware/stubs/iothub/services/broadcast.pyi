from collections.abc import Callable
from typing import TypeVar

_OnPayload = TypeVar("_OnPayload", bound=Callable[[bytes], object])

class Broadcast:
    def __call__(self, handler: _OnPayload) -> _OnPayload: ...
