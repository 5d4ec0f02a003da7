"""Applies the rules to what devices publish, to their state and to their shadows.

What a rule republishes goes to the device it names and to no rule: rules make no circles.
"""

import json
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from itertools import count

from tools.hub import events
from tools.hub.broker.packet import Publish
from tools.hub.clock import HubClock
from tools.hub.events import Records
from tools.hub.identity import Identity
from tools.hub.presence import StateChange
from tools.hub.registry import RegistryError
from tools.hub.rules.actions import Action, Republish
from tools.hub.rules.book import Rule, RuleBook
from tools.hub.rules.errors import RuleError
from tools.hub.rules.forwarding import Forwarding
from tools.hub.rules.message import RuleMessage
from tools.hub.rules.sql import Selected
from tools.hub.services.shadows import ShadowUpdate
from tools.hub.topics import is_system

# Where rules find the state of devices. The documents have the message, but name no topic.
STATE_TOPIC = "$state/report"
SHADOW_TOPIC = "$shadow/operation"

_log = logging.getLogger("hub")

# Sends a device a message on a topic. Raises RegistryError.
Send = Callable[[str, bytes, int], None]


class RuleEngine:
    """`publish`, `change_state` and `update_shadow` are told what happens."""

    def __init__(
        self,
        book: RuleBook,
        forwarding: Forwarding,
        send: Send,
        clock: HubClock,
        records: Records,
    ) -> None:
        self._book = book
        self._forwarding = forwarding
        self._send = send
        self._clock = clock
        self._records = records
        # Later messages have higher numbers, also after a restart.
        self._numbers = count(clock.now_ms())

    def publish(self, device: Identity, publish: Publish) -> None:
        """A device published. What it asks of a service is no message for rules."""
        if self._book.rules and not is_system(publish.topic):
            self._apply(self.message(device, publish.topic, publish.payload, publish.qos))

    def change_state(self, change: StateChange) -> None:
        """A device came online or went offline."""
        if not self._book.rules:
            return
        device = change.device
        at = datetime.fromtimestamp(change.at_ms / 1000, timezone.utc)
        payload = {
            "MsgType": "StatusChange",
            "Event": "Online" if change.online else "Offline",
            "ProductId": device.product_id,
            "DeviceName": device.device_name,
            "Time": at.strftime("%Y-%m-%d %H:%M:%S"),
        }
        topic = f"{STATE_TOPIC}/{device.path}"
        self._apply(self.message(device, topic, json.dumps(payload).encode(), 0))

    def update_shadow(self, update: ShadowUpdate) -> None:
        """A shadow changed; rules see what the device reported."""
        if not self._book.rules or update.by != "device":
            return
        payload = {
            "type": "update",
            "state": update.state,
            "version": update.document.version,
            "timestamp": update.document.updated_ms,
        }
        topic = f"{SHADOW_TOPIC}/{update.device.path}"
        self._apply(self.message(update.device, topic, json.dumps(payload).encode(), 0))

    def message(self, device: Identity, topic: str, payload: bytes, qos: int) -> RuleMessage:
        """A message as rules see it, with a number of its own."""
        now_ms = self._clock.now_ms()
        return RuleMessage(device, topic, payload, qos, now_ms, next(self._numbers))

    def _apply(self, message: RuleMessage) -> None:
        for rule in list(self._book.rules.values()):
            if not rule.enabled or not rule.statement.matches(message.topic):
                continue
            rule.tally.matched += 1
            try:
                self._apply_one(rule, message)
            except Exception:
                # Not the device's fault, whose connection this is.
                _log.exception("rule %s failed", rule.name)
                self._ended(rule, message, "select", "the hub failed; its log says how")

    def _apply_one(self, rule: Rule, message: RuleMessage) -> None:
        selected = rule.statement.apply(message)
        if selected is None:
            return
        rule.tally.passed += 1
        for action in rule.actions:
            try:
                self._act(rule, action, message, selected)
            except (RuleError, RegistryError) as error:
                self._ended(rule, message, _named(action), str(error))

    def _act(self, rule: Rule, action: Action, message: RuleMessage, selected: Selected) -> None:
        if isinstance(action, Republish):
            self._send(action.resolve(message, selected.values), selected.payload, message.qos)
            self._ended(rule, message, _named(action), None)
        else:
            self._forwarding.put(
                action,
                forwarded(message, selected),
                lambda failure: self._ended(rule, message, _named(action), failure),
            )

    def _ended(self, rule: Rule, message: RuleMessage, action: str, failure: str | None) -> None:
        if failure is None:
            rule.tally.done += 1
        else:
            rule.tally.failed += 1
            rule.tally.last_error = failure
        detail = {} if failure is None else {"reason": failure}
        self._records.event(
            events.RULE,
            message.device.path,
            rule=rule.name,
            topic=message.topic,
            action=action,
            result="ok" if failure is None else "failed",
            **detail,
        )


def forwarded(message: RuleMessage, selected: Selected) -> bytes:
    """What a server is sent (document 634/14447)."""
    body = {
        "devicename": message.device.device_name,
        "payload": selected.document,
        "productid": message.device.product_id,
        "seq": message.number,
        "timestamp": message.at_ms // 1000,
        "topic": message.topic,
    }
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _named(action: Action) -> str:
    return "republish" if isinstance(action, Republish) else "forward"
