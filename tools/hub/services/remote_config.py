"""A product's configuration for all its devices (PROTOCOL.md 12, after the C SDK): devices ask
for it over `$config`, and it can be pushed to those that are online."""

import json
from dataclasses import dataclass, field, replace

from tools.hub import events
from tools.hub.broker.session import DROPPED
from tools.hub.identity import Identity
from tools.hub.registry import RegistryError
from tools.hub.services.context import ServiceContext
from tools.hub.services.messages import Json, encode, read_object
from tools.hub.services.shadow_document import BadChanges, check_changes

# With the topic and the rest it fits in a packet.
MAX_CONFIG_BYTES = 15 * 1024
DISABLED = 1001


@dataclass(frozen=True, slots=True)
class ProductConfig:
    """A configuration that is not enabled is refused to devices (1001)."""

    enabled: bool = False
    content: Json = field(default_factory=dict)
    updated_ms: int = 0


class RemoteConfig:
    """Held in memory, written through to the store."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._configs: dict[str, ProductConfig] = {}
        for product_id, enabled, content, updated_ms in context.store.query(
            "SELECT * FROM remote_config"
        ):
            self._configs[product_id] = ProductConfig(
                bool(enabled), json.loads(content), updated_ms
            )

    # What the application calls. Each raises RegistryError.

    def get(self, product_id: str) -> ProductConfig:
        self._context.registry.product(product_id)
        return self._configs.get(product_id, ProductConfig())

    def set(self, product_id: str, content: Json) -> ProductConfig:
        """Replace the content and enable it; devices see it when they ask, or with `push`."""
        try:
            check_changes(content, "config")
        except BadChanges as error:
            raise RegistryError("invalid", str(error)) from None
        if len(encode(content)) > MAX_CONFIG_BYTES:
            raise RegistryError("too_large", f"at most {MAX_CONFIG_BYTES} bytes of JSON")
        now_ms = self._context.clock.now_ms()
        return self._keep(product_id, ProductConfig(True, content, now_ms))

    def enable(self, product_id: str, enabled: bool) -> ProductConfig:
        return self._keep(product_id, replace(self.get(product_id), enabled=enabled))

    def push(self, product_id: str) -> int:
        """Send it to every device of the product that is online; returns how many got it."""
        config = self.get(product_id)
        if not config.enabled:
            raise RegistryError("conflict", f"the configuration of {product_id} is disabled")
        message = encode({"type": "push", "payload": config.content})
        outcomes = [
            self._context.send(device, _result_topic(device), message, 1)
            for device in self._context.presence.online()
            if device.product_id == product_id
        ]
        self._context.store.flush()
        return sum(1 for outcome in outcomes if outcome.state != DROPPED)

    def _keep(self, product_id: str, config: ProductConfig) -> ProductConfig:
        self._context.registry.product(product_id)
        self._context.store.later(
            "INSERT OR REPLACE INTO remote_config VALUES (?, ?, ?, ?)",
            (product_id, int(config.enabled), encode(config.content).decode(), config.updated_ms),
        )
        action = "configuration enabled" if config.enabled else "configuration disabled"
        self._context.records.event(events.REGISTRY, None, action=action, product_id=product_id)
        self._context.store.flush()
        self._configs[product_id] = config
        return config

    # What devices ask.

    def handle(self, device: Identity, topic: str, payload: bytes) -> None:
        request = read_object(payload)
        if request is None or request.get("type") != "get":
            self._context.record(device, topic, "refused", reason='not {"type":"get"}')
            return
        config = self.get(device.product_id)
        answer = {
            "type": "reply",
            "result": 0 if config.enabled else DISABLED,
            "payload": config.content if config.enabled else {},
        }
        self._context.answer(device, _result_topic(device), encode(answer))


def _result_topic(device: Identity) -> str:
    return f"$config/operation/result/{device.path}"
