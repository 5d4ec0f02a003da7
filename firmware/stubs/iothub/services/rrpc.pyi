from collections.abc import Callable
from typing import TypeVar

_OnPayload = TypeVar("_OnPayload", bound=Callable[[bytes], object])

class Rrpc:
    answered: int
    duplicates: int
    def __call__(self, handler: _OnPayload) -> _OnPayload: ...
