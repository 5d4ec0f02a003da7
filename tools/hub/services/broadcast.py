"""Messages to every device of a product that is online (PROTOCOL.md 12, after the SDKs)."""

from typing import NamedTuple

from tools.hub.broker.encoder import publish_bytes
from tools.hub.broker.session import DROPPED
from tools.hub.identity import MAX_DEVICE_NAME_CHARS, PRODUCT_ID_CHARS, Identity
from tools.hub.registry import RegistryError
from tools.hub.services.context import ServiceContext

_LONGEST = Identity("P" * PRODUCT_ID_CHARS, "D" * MAX_DEVICE_NAME_CHARS)


class Reached(NamedTuple):
    """How many of the devices that are online were sent a message, and how many were not, most
    likely because they did not subscribe."""

    sent: int
    missed: int


class Broadcast:
    def __init__(self, context: ServiceContext) -> None:
        self._context = context

    def send(self, product_id: str, payload: bytes) -> Reached:
        """Raises RegistryError: not_found, too_large."""
        context = self._context
        context.registry.product(product_id)
        most = context.config.max_packet_bytes
        if publish_bytes(_topic(_LONGEST), payload, 1) > most:
            raise RegistryError("too_large", f"a packet would be over {most} bytes")
        sent = missed = 0
        for device in context.presence.online():
            if device.product_id == product_id:
                if context.send(device, _topic(device), payload, 1).state == DROPPED:
                    missed += 1
                else:
                    sent += 1
        context.store.flush()
        return Reached(sent, missed)


def _topic(device: Identity) -> str:
    return f"$broadcast/rxd/{device.path}"
