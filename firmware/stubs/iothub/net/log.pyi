from collections.abc import Awaitable
from typing import TypeVar

from iothub.errors import IoTHubError
from iothub.services.log import Log

_Result = TypeVar("_Result")

class DeviceLog(Log):
    failures: int
    last_error: IoTHubError | None
    async def guard(self, application: Awaitable[_Result]) -> _Result: ...
    def exception(self, error: BaseException, survives: bool = False) -> None: ...
    async def flush(self) -> None: ...
