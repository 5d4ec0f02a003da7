"""The application's side of the cloud: sending a device a message."""

from tools.hub.broker.broker import Broker
from tools.hub.broker.encoder import publish_bytes
from tools.hub.broker.session import Outcome
from tools.hub.identity import Identity
from tools.hub.permissions import Forbidden, check_subscribe, owner_of
from tools.hub.registry import Device, Registry, RegistryError
from tools.hub.services.messages import is_text
from tools.hub.topics import FAMILIES, has_wildcard, is_system


def publish(
    broker: Broker, registry: Registry, topic: str, payload: bytes, qos: int
) -> tuple[Identity, Outcome]:
    """Send to the device a topic names. Raises RegistryError where that makes no sense."""
    if qos not in (0, 1):
        raise RegistryError("invalid", "qos is 0 or 1")
    if has_wildcard(topic) or "\0" in topic:
        raise RegistryError("invalid", "a topic to publish to holds no wildcard and no U+0000")
    if not is_text(topic):
        raise RegistryError("invalid", "topic: not Unicode text")
    identity = addressed_device(topic)
    if identity is None:
        raise RegistryError(
            "invalid", "a topic is PID/DN/name, or one of the $ topics a device subscribes to"
        )
    registry.device(*identity)
    max_bytes = broker.context.config.max_packet_bytes
    if publish_bytes(topic, payload, qos) > max_bytes:
        raise RegistryError("too_large", f"the packet would be over {max_bytes} bytes")
    try:
        check_subscribe(registry.product(identity.product_id).topics, identity, topic)
    except Forbidden as forbidden:
        raise RegistryError(
            "forbidden", f"the device cannot receive on {topic}: {forbidden}"
        ) from None
    return identity, broker.send(identity, topic, payload, qos)


def set_enabled(broker: Broker, device: Device, enabled: bool) -> None:
    """Let a device log in, or drop it at once and refuse it; its data is kept."""
    broker.context.registry.set_enabled(device, enabled)
    if not enabled:
        broker.drop(device.identity, "the device was disabled")


def remove_device(broker: Broker, device: Device) -> None:
    """Drop a device and forget it, with its session and what it is owed."""
    end_session(broker, device.identity, "the device was removed")
    broker.context.registry.remove_device(device)


def end_session(broker: Broker, identity: Identity, reason: str) -> None:
    """End a device's connection, and forget its session with what it is owed."""
    broker.drop(identity, reason)
    session = broker.sessions.get(identity)
    if session is not None:
        broker.sessions.forget(session, reason)


def addressed_device(topic: str) -> Identity | None:
    """The device whose topic this is to hear on, by its form alone."""
    if is_system(topic) and not any(
        topic.startswith(family.subscribe + "/") for family in FAMILIES
    ):
        return None
    return owner_of(topic)
