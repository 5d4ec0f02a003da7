"""What a device is to upload of its log (document "设备日志上报", PROTOCOL.md 9): it asks over
`$log`, and is told when that changes."""

from tools.hub.identity import Identity, parse_path
from tools.hub.registry import RegistryError
from tools.hub.services.context import ServiceContext
from tools.hub.services.messages import Json, client_token, encode, read_object

# From nothing over errors, warnings and information to everything.
LEVELS = ("off", "error", "warning", "info", "debug")


class LogLevel:
    """Levels 0 to 4 by device, held in memory and written through to the store; 0 at first."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._levels: dict[Identity, int] = {}
        for path, level in context.store.query("SELECT * FROM log_level"):
            device = parse_path(path)
            if device is not None:
                self._levels[device] = level
        context.registry.on_removed.append(self._forget)

    # What the application calls. Each raises RegistryError.

    def get(self, device: Identity) -> int:
        self._context.registry.device(*device)
        return self._levels.get(device, 0)

    def set(self, device: Identity, level: int) -> None:
        """Keep a level and tell the device, if it is online."""
        self._context.registry.device(*device)
        if not 0 <= level < len(LEVELS):
            raise RegistryError("invalid", f"a log level is 0 to {len(LEVELS) - 1}")
        self._levels[device] = level
        self._context.store.later(
            "INSERT OR REPLACE INTO log_level VALUES (?, ?)", (device.path, level)
        )
        self._context.store.flush()
        if self._context.presence.is_online(device):
            self._context.send(device, _result_topic(device), encode(self._told(device)), 1)

    def _forget(self, device: Identity) -> None:
        if self._levels.pop(device, None) is not None:
            self._context.store.later("DELETE FROM log_level WHERE device = ?", (device.path,))

    # What devices ask.

    def handle(self, device: Identity, topic: str, payload: bytes) -> None:
        request = read_object(payload)
        if request is None or request.get("type") != "get_log_level":
            reason = 'not {"type":"get_log_level","clientToken":...}'
            self._context.record(device, topic, "refused", reason=reason)
            return
        token = client_token(request)
        told = self._told(device) | ({} if token is None else {"clientToken": token})
        self._context.answer(device, _result_topic(device), encode(told))

    def _told(self, device: Identity) -> Json:
        return {
            "type": "get_log_level",
            "log_level": self._levels.get(device, 0),
            "result": 0,
            "timestamp": self._context.clock.now_s(),
        }


def _result_topic(device: Identity) -> str:
    return f"$log/operation/result/{device.path}"
