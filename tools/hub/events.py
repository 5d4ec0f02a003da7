"""The record of everything that happened to a device, and of what devices published."""

import asyncio
import json
import logging
from typing import Any

from tools.hub.clock import HubClock
from tools.hub.store import Store

# Kinds of event. One per packet: these are recorded, but logged at debug level only.
PUBLISH_IN = "publish_in"
PUBLISH_OUT = "publish_out"
ACK = "ack"
# The rest is logged.
HANDSHAKE = "handshake"  # a connection that TLS or WebSocket ended before MQTT began
CONNECT = "connect"
REFUSED = "refused"
DISCONNECT = "disconnect"
SUBSCRIBE = "subscribe"
UNSUBSCRIBE = "unsubscribe"
DROP = "drop"
SERVICE = "service"
SESSION = "session"
STATE = "state"  # a sub-device is online or offline
REGISTRY = "registry"
CLOUD_API = "cloud_api"
OTA = "ota"  # firmware, its updates, and what was served of it
RULE = "rule"  # what a rule did with a message, and changes of rules
AUTHENTICATE = "authenticate"  # a device was given a token for CoAP
REGISTER = "register"  # a device registered itself
DEVICE_LOG = "device_log"  # a line of its own log that a device uploaded
FAULT = "fault"
CLOCK = "clock"

_QUIET = frozenset({PUBLISH_IN, PUBLISH_OUT, ACK, DEVICE_LOG})
_INSERT_EVENT = "INSERT INTO event VALUES (?, ?, ?, ?, ?)"
_INSERT_MESSAGE = "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)"
_encode_detail = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_log = logging.getLogger("hub")


class Records:
    """Writes events and messages; bounded by `sweep`. Watchers see messages as they pass."""

    def __init__(self, store: Store, clock: HubClock) -> None:
        self._store = store
        self._clock = clock
        self._event_id = store.highest_id("event")
        self._message_id = store.highest_id("message")
        self.watchers: set[Watcher] = set()

    def event(self, kind: str, device: str | None, /, **detail: Any) -> None:
        """Record one event. `device` is PID/DN; `detail` is JSON and must never hold a secret."""
        self._event_id += 1
        row = (self._event_id, self._clock.now_ms(), device, kind, _encode_detail(detail))
        self._store.later(_INSERT_EVENT, row)
        level = logging.DEBUG if kind in _QUIET else logging.INFO
        if _log.isEnabledFor(level):
            _log.log(level, kind, extra={"device": device, "detail": detail})

    def message(self, device: str, topic: str, payload: bytes, qos: int, dup: bool) -> None:
        """Record what a device published."""
        self._message_id += 1
        row = (self._message_id, self._clock.now_ms(), device, topic, payload, qos, int(dup))
        self._store.later(_INSERT_MESSAGE, row)

    def show(self, direction: str, device: str, topic: str, payload: bytes, qos: int) -> None:
        """Let watchers see a message that passes: `in` from a device, `out` to one."""
        for watcher in self.watchers:
            watcher.offer((self._clock.now_ms(), direction, device, topic, payload, qos))

    def sweep(self, max_events: int, max_messages: int) -> None:
        """Forget the oldest records beyond the caps."""
        self._store.later("DELETE FROM event WHERE id <= ?", (self._event_id - max_events,))
        self._store.later("DELETE FROM message WHERE id <= ?", (self._message_id - max_messages,))


Passed = tuple[int, str, str, str, bytes, int]


class Watcher:
    """A bounded view on passing messages; a slow one loses the newest and counts them."""

    MAX_WAITING = 1000

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Passed | None] = asyncio.Queue(self.MAX_WAITING + 1)
        self.missed = 0

    def offer(self, passed: Passed) -> None:
        if self._queue.qsize() >= self.MAX_WAITING:
            self.missed += 1
        else:
            self._queue.put_nowait(passed)

    def end(self) -> None:
        """Let the reader's next `next` return None."""
        if not self._queue.full():
            self._queue.put_nowait(None)

    async def next(self) -> Passed | None:
        return await self._queue.get()
