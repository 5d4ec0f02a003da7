"""Instances and their topics: held in memory, written through to the store.

The documents give a topic a name that never changes, a life time of its messages and their maximum
length, but no bounds; those here are the hub's.
"""

import re
import secrets
import string
from dataclasses import dataclass, field

from tools.hub import events
from tools.hub.clock import HubClock
from tools.hub.events import Records
from tools.hub.registry import RegistryError
from tools.hub.store import Store
from tools.hub.topics import has_wildcard, is_system

MAX_INSTANCES = 20
MAX_TOPICS = 1000
MAX_TOPIC_BYTES = 128
MAX_LIFE_TIME_S = 30 * 24 * 3600
MAX_MESSAGE_BYTES = 64 * 1024
# An instance's id also begins the names of its sessions, where PID/DN begin a device's.
_INSTANCE_ID = re.compile(r"mqtt-[a-z0-9]{4,32}")
_APP_ID = re.compile(r"[0-9]{1,20}")
_SECRET = re.compile(r"[A-Za-z0-9]{16,64}")
_SMALL = string.ascii_lowercase + string.digits
_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class MqTopic:
    name: str
    life_time_s: int
    max_bytes: int


@dataclass(slots=True)
class Instance:
    """One instance. `port` is where it listens; its topics are by name."""

    instance_id: str
    app_id: str
    secret_id: str
    secret_key: str = field(repr=False)
    port: int
    created_ms: int
    topics: dict[str, MqTopic] = field(default_factory=dict)


class Catalogue:
    """Every change is committed before the call returns. Each raises RegistryError."""

    def __init__(self, store: Store, clock: HubClock, records: Records) -> None:
        self._store = store
        self._clock = clock
        self._records = records
        self.instances: dict[str, Instance] = {}
        for row in store.query("SELECT * FROM iotmq_instance ORDER BY created_ms, instance_id"):
            self.instances[row[0]] = Instance(*row)
        for instance_id, *topic in store.query("SELECT * FROM iotmq_topic"):
            self.instances[instance_id].topics[topic[0]] = MqTopic(*topic)

    def instance(self, instance_id: str) -> Instance:
        instance = self.instances.get(instance_id)
        if instance is None:
            raise RegistryError("not_found", f"there is no IoT MQ instance {instance_id}")
        return instance

    def draft(
        self, instance_id: str = "", app_id: str = "", secret_id: str = "", secret_key: str = ""
    ) -> Instance:
        """A new instance, not kept yet; what is not given is made up."""
        instance = Instance(
            instance_id or "mqtt-" + _random(_SMALL, 9),
            app_id or "1" + _random(string.digits, 9),
            secret_id or "AKID" + _random(_LETTERS, 32),
            secret_key or _random(_LETTERS, 32),
            0,
            self._clock.now_ms(),
        )
        for what, value, pattern, rule in (
            ("instance_id", instance.instance_id, _INSTANCE_ID, "mqtt- and 4 to 32 a-z0-9"),
            ("app_id", instance.app_id, _APP_ID, "1 to 20 digits"),
            ("secret_id", instance.secret_id, _SECRET, "16 to 64 letters and digits"),
            ("secret_key", instance.secret_key, _SECRET, "16 to 64 letters and digits"),
        ):
            if pattern.fullmatch(value) is None:
                raise RegistryError("invalid", f"{what}: must be {rule}")
        if instance.instance_id in self.instances:
            raise RegistryError("conflict", f"there is an instance {instance.instance_id} already")
        if len(self.instances) >= MAX_INSTANCES:
            raise RegistryError("limit", f"a hub holds at most {MAX_INSTANCES} instances")
        return instance

    def keep(self, instance: Instance) -> None:
        self._store.later(
            "INSERT INTO iotmq_instance VALUES (?, ?, ?, ?, ?, ?)",
            (
                instance.instance_id,
                instance.app_id,
                instance.secret_id,
                instance.secret_key,
                instance.port,
                instance.created_ms,
            ),
        )
        self._commit(instance, action="instance added", port=instance.port)
        self.instances[instance.instance_id] = instance

    def add_topic(self, instance_id: str, name: str, life_time_s: int, max_bytes: int) -> MqTopic:
        instance = self.instance(instance_id)
        fault = _name_fault(name)
        if fault is not None:
            raise RegistryError("invalid", fault)
        if not 1 <= life_time_s <= MAX_LIFE_TIME_S:
            raise RegistryError("invalid", f"life_time_s: must be 1 to {MAX_LIFE_TIME_S}")
        if not 1 <= max_bytes <= MAX_MESSAGE_BYTES:
            raise RegistryError("invalid", f"max_bytes: must be 1 to {MAX_MESSAGE_BYTES}")
        if name in instance.topics:
            raise RegistryError("conflict", f"{instance_id} has a topic {name} already")
        if len(instance.topics) >= MAX_TOPICS:
            raise RegistryError("limit", f"an instance has at most {MAX_TOPICS} topics")
        topic = MqTopic(name, life_time_s, max_bytes)
        self._store.later(
            "INSERT INTO iotmq_topic VALUES (?, ?, ?, ?)",
            (instance_id, name, life_time_s, max_bytes),
        )
        self._commit(instance, action="topic added", topic=name)
        instance.topics[name] = topic
        return topic

    def _commit(self, instance: Instance, **detail: str | int) -> None:
        self._records.event(events.REGISTRY, instance.instance_id, **detail)
        self._store.flush()


def _name_fault(name: str) -> str | None:
    if not name or len(name.encode()) > MAX_TOPIC_BYTES:
        return f"a topic name is 1 to {MAX_TOPIC_BYTES} bytes"
    if has_wildcard(name) or is_system(name) or not name.isprintable():
        return "a topic name is printable, holds no wildcard, and does not begin with $"
    return None


def _random(alphabet: str, count: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(count))
