from collections.abc import Callable
from typing import Any

from iothub.device import Device
from iothub.net.watch import Watch

class Updates:
    slots: Any
    watch: Watch
    def __init__(
        self, device: Device, version: str, check: Callable[[], object] | None = None
    ) -> None: ...
