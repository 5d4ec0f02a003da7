from collections.abc import Callable

from iothub.device import Device
from iothub.net.watch import Watch

class Updates:
    watch: Watch
    def __init__(
        self, device: Device, version: str, check: Callable[[], object] | None = None
    ) -> None: ...
