"""What one device may publish and subscribe: its own topics, as its product permits."""

from collections.abc import Mapping

from tools.hub.identity import Identity, parse_path
from tools.hub.topics import (
    DEFAULT_TOPICS,
    FAMILIES,
    MAX_CUSTOM_TOPIC_BYTES,
    MAX_RRPC_PROCESS_ID_CHARS,
    Family,
    Permission,
    filter_fault,
    has_wildcard,
    is_system,
    matches,
)

ProductTopics = Mapping[str, Permission]


class Forbidden(Exception):
    """A topic or filter this device may not use. The text says which rule."""


def published_family(device: Identity, topic: str) -> Family | None:
    """The `$…` service a device's publish is for; None when there is none it may publish to."""
    for family in FAMILIES:
        if family.publish is not None and _is_own(family, family.publish, device, topic):
            return family
    return None


_PREFIXES = sorted(
    {prefix for each in FAMILIES for prefix in (each.publish, each.subscribe) if prefix},
    key=len,
    # The longest first: `$sys/operation` begins `$sys/operation/result`.
    reverse=True,
)


def owner_of(topic: str) -> Identity | None:
    """The device whose topic or filter this is, by its form alone."""
    if is_system(topic):
        prefix = next((each for each in _PREFIXES if topic.startswith(each + "/")), None)
        if prefix is None:
            return None
        topic = topic[len(prefix) + 1 :]
    levels = topic.split("/", 2)
    return parse_path("/".join(levels[:2]))


def check_publish(topics: ProductTopics, device: Identity, topic: str) -> None:
    """Raise Forbidden unless `device` may publish to `topic` (a name without wildcards)."""
    if is_system(topic):
        if published_family(device, topic) is None:
            raise Forbidden("not a system topic this device may publish to")
        return
    name = _own_name(device, topic)
    _check_length(topic)
    permission = topics.get(name)
    if permission is None:
        raise Forbidden("the product has no such topic")
    if not permission.publish:
        raise Forbidden("the product's topic permits subscribe only")


def check_subscribe(topics: ProductTopics, device: Identity, topic_filter: str) -> list[str]:
    """The subscriptions a filter stands for; empty when it matches nothing, which is a success.

    A wildcard means every matching topic the device may subscribe. Raises Forbidden.
    """
    fault = filter_fault(topic_filter)
    if fault is not None:
        raise Forbidden(fault)
    if is_system(topic_filter):
        if not _may_subscribe_system(device, topic_filter):
            raise Forbidden("not a system topic this device may subscribe to")
        return [topic_filter]
    name = _own_name(device, topic_filter)
    if has_wildcard(name):
        prefix = device.path + "/"
        own = [prefix + each for each, permission in topics.items() if permission.subscribe]
        return [topic for topic in own if matches(topic_filter, topic) and _fits(topic)]
    _check_length(topic_filter)
    permission = topics.get(name)
    if permission is None:
        raise Forbidden("the product has no such topic")
    if not permission.subscribe:
        raise Forbidden("the product's topic permits publish only")
    return [topic_filter]


def _own_name(device: Identity, topic: str) -> str:
    prefix = device.path + "/"
    if not topic.startswith(prefix) or len(topic) == len(prefix):
        raise Forbidden("a device uses topics under its own PID/DN only")
    return topic[len(prefix) :]


def _fits(topic: str) -> bool:
    # The rule cannot hold for the defaults of a long device name, so they are exempt.
    return (
        len(topic.encode()) <= MAX_CUSTOM_TOPIC_BYTES or topic.split("/", 2)[2] in DEFAULT_TOPICS
    )


def _check_length(topic: str) -> None:
    if not _fits(topic):
        raise Forbidden(f"a custom topic is at most {MAX_CUSTOM_TOPIC_BYTES} bytes long")


def _may_subscribe_system(device: Identity, topic_filter: str) -> bool:
    for family in FAMILIES:
        if family.per_process and topic_filter == f"{family.subscribe}/{device.path}/+":
            return True
        if not has_wildcard(topic_filter) and _is_own(
            family, family.subscribe, device, topic_filter
        ):
            return True
    return False


def _is_own(family: Family, prefix: str, device: Identity, topic: str) -> bool:
    own = f"{prefix}/{device.path}"
    if not family.per_process:
        return topic == own
    if not topic.startswith(own + "/"):
        return False
    process_id = topic[len(own) + 1 :]
    return 0 < len(process_id) <= MAX_RRPC_PROCESS_ID_CHARS and "/" not in process_id
