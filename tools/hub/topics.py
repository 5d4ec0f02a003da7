"""Topic names and filters: their syntax, how they match, and the documented `$…` families."""

from dataclasses import dataclass
from enum import Enum

MAX_CUSTOM_TOPIC_BYTES = 64
MAX_FILTER_BYTES = 128
MAX_RRPC_PROCESS_ID_CHARS = 16


class Permission(Enum):
    """What a device may do on a topic of its product."""

    PUB = "pub"
    SUB = "sub"
    BOTH = "both"

    @property
    def publish(self) -> bool:
        return self is not Permission.SUB

    @property
    def subscribe(self) -> bool:
        return self is not Permission.PUB


DEFAULT_TOPICS = {
    "event": Permission.PUB,
    "control": Permission.SUB,
    "data": Permission.BOTH,
}


@dataclass(frozen=True, slots=True)
class Family:
    """One `$…` service: the topic prefixes a device publishes and subscribes under."""

    name: str
    publish: str | None
    subscribe: str
    # Request and reply carry a process id as one more level after PID/DN.
    per_process: bool = False


FAMILIES = (
    Family("shadow", "$shadow/operation", "$shadow/operation/result"),
    Family("ota", "$ota/report", "$ota/update"),
    Family("sys", "$sys/operation", "$sys/operation/result"),
    Family("log", "$log/operation", "$log/operation/result"),
    Family("rrpc", "$rrpc/txd", "$rrpc/rxd", per_process=True),
    Family("gateway", "$gateway/operation", "$gateway/operation/result"),
    Family("broadcast", None, "$broadcast/rxd"),
    Family("config", "$config/operation", "$config/operation/result"),
    Family("resource", "$resource/up/service", "$resource/down/service"),
    Family("template", "$template/operation", "$template/operation/result"),
)


def is_system(topic: str) -> bool:
    return topic.startswith("$")


def has_wildcard(topic_filter: str) -> bool:
    return "+" in topic_filter or "#" in topic_filter


def filter_fault(topic_filter: str) -> str | None:
    """Why a filter is malformed (MQTT 3.1.1, 4.7.1), or None."""
    if not topic_filter:
        return "a topic filter is at least one character long"
    if len(topic_filter.encode()) > MAX_FILTER_BYTES:
        return f"a topic filter is at most {MAX_FILTER_BYTES} bytes long"
    levels = topic_filter.split("/")
    for position, level in enumerate(levels):
        if "#" in level and (level != "#" or position != len(levels) - 1):
            return "'#' fills a whole level and is the last one"
        if "+" in level and level != "+":
            return "'+' fills a whole level"
    return None


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a well-formed filter matches a topic name (MQTT 3.1.1, 4.7)."""
    if topic_filter == topic:
        return True
    if is_system(topic) != is_system(topic_filter):
        return False  # a leading wildcard does not match `$…`
    filter_levels = topic_filter.split("/")
    topic_levels = topic.split("/")
    for position, level in enumerate(filter_levels):
        if level == "#":
            return True
        if position >= len(topic_levels):
            return False
        if level not in ("+", topic_levels[position]):
            return False
    return len(filter_levels) == len(topic_levels)


def custom_name_fault(name: str) -> str | None:
    """Why `name` (what follows `PID/DN/`) cannot be a product's topic, or None."""
    if not name or name.startswith("/") or name.endswith("/") or "//" in name:
        return "a topic name has no empty level"
    if has_wildcard(name):
        return "a topic name holds no wildcard"
    if "\0" in name or not name.isprintable():
        return "a topic name is printable text"
    # PID (10), '/', a device name of at least one character, '/'.
    if len(name.encode()) > MAX_CUSTOM_TOPIC_BYTES - 13:
        return f"PID/DN/{name} is over {MAX_CUSTOM_TOPIC_BYTES} bytes for every device name"
    return None
