"""The rule engine assembled, and what an application does with rules."""

from dataclasses import dataclass
from typing import Any

from tools.hub import application
from tools.hub.broker.broker import Broker
from tools.hub.broker.session import DROPPED
from tools.hub.identity import Identity, is_device_name, is_product_id
from tools.hub.registry import RegistryError
from tools.hub.rules.actions import Forward, Republish
from tools.hub.rules.book import Rule, RuleBook
from tools.hub.rules.engine import RuleEngine
from tools.hub.rules.errors import RuleError
from tools.hub.rules.forwarding import Forwarding


@dataclass(frozen=True, slots=True)
class Trial:
    """What a rule would make of a message: whether its topic matches and its condition holds, the
    payload selected, and where it would go."""

    matches: bool
    passes: bool
    payload: bytes | None = None
    destinations: tuple[str, ...] = ()


class Rules:
    """Every method that changes a rule raises RuleError, and then changed nothing."""

    def __init__(self, broker: Broker, authority_pem: bytes) -> None:
        context = broker.context
        self._broker = broker
        self._forwarding = Forwarding(context.clock, authority_pem)
        self.book = RuleBook(context.store, context.clock, context.records)
        self._engine = RuleEngine(
            self.book, self._forwarding, self._send, context.clock, context.records
        )
        broker.observers.append(self._engine.publish)
        broker.presence.observers.append(self._engine.change_state)
        broker.services.shadows.observers.append(self._engine.update_shadow)

    async def stop(self) -> None:
        await self._forwarding.stop()

    async def add(
        self, name: str, sql: str, actions: str, description: str = "", enabled: bool = True
    ) -> Rule:
        rule = self.book.new(name, sql, actions, description)
        if name in self.book.rules:
            raise RuleError(f"there is a rule {name} already", "conflict")
        if enabled:
            await self._ask_servers(rule)
        rule.enabled = enabled
        self.book.add(rule)
        return rule

    async def replace(
        self, name: str, sql: str, actions: str, description: str, enabled: bool
    ) -> Rule:
        rule = self.book.new(self.book.rule(name).name, sql, actions, description)
        if enabled:
            await self._ask_servers(rule)
        rule.enabled = enabled
        self.book.replace(rule)
        return rule

    async def set_enabled(self, name: str, enabled: bool) -> Rule:
        rule = self.book.rule(name)
        if rule.enabled == enabled:
            state = "enabled" if enabled else "disabled"
            raise RuleError(f"rule {name} is {state} already", state)
        if enabled:
            await self._ask_servers(rule)
        # It may have gone meanwhile.
        self.book.set_enabled(self.book.rule(name), enabled)
        return rule

    def try_out(self, sql: str, actions: str | None, topic: str, payload: bytes) -> Trial:
        """What a rule would do, without doing it."""
        rule = self.book.new("trial", sql, actions or '[{"republish":{"topic":"-"}}]')
        message = self._engine.message(_device_of(topic), topic, payload, 0)
        if not rule.statement.matches(topic):
            return Trial(False, False)
        selected = rule.statement.apply(message)
        if selected is None:
            return Trial(True, False)
        destinations: list[str] = []
        for action in rule.actions if actions else ():
            if isinstance(action, Republish):
                destinations.append(action.resolve(message, selected.values))
            else:
                destinations.append(action.url)
        return Trial(True, True, selected.payload, tuple(destinations))

    async def _ask_servers(self, rule: Rule) -> None:
        for action in rule.actions:
            if isinstance(action, Forward):
                await self._forwarding.check(action)

    def _send(self, topic: str, payload: bytes, qos: int) -> None:
        registry = self._broker.context.registry
        _, outcome = application.publish(self._broker, registry, topic, payload, qos)
        if outcome.state == DROPPED:
            raise RegistryError("offline", f"{topic}: {outcome.reason}")


def shown(rule: Rule) -> dict[str, Any]:
    """A rule as the hub's API shows it, without tokens."""
    return {
        "name": rule.name,
        "sql": rule.sql,
        "actions": rule.shown_actions(),
        "description": rule.description,
        "enabled": rule.enabled,
        "created_ms": rule.created_ms,
        "matched": rule.tally.matched,
        "passed": rule.tally.passed,
        "done": rule.tally.done,
        "failed": rule.tally.failed,
        "last_error": rule.tally.last_error,
    }


def _device_of(topic: str) -> Identity:
    levels = topic.split("/")
    levels = levels[-2:] if topic.startswith("$") else levels[:2]
    if len(levels) == 2 and is_product_id(levels[0]) and is_device_name(levels[1]):
        return Identity(levels[0], levels[1])
    raise RuleError("a topic is PID/DN/..., $shadow/operation/PID/DN or $state/report/PID/DN")
