from collections.abc import Callable, Coroutine
from typing import Any

from iothub.device import Device

ASLEEP: int
MAX_SLEEP_MS: int

def run(
    device: Device, work: Callable[[Device], Coroutine[Any, Any, object]], every_ms: int
) -> None: ...
def sleep_ms(every_ms: int, failures: int, random_below: Callable[[int], int]) -> int: ...
