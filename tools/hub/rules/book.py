"""Every rule there is, kept in the store, and what became of the messages it was applied to."""

import re
from dataclasses import dataclass, field
from typing import Any

from tools.hub import events
from tools.hub.clock import HubClock
from tools.hub.events import Records
from tools.hub.rules.actions import Action, Forward, parse_actions
from tools.hub.rules.errors import RuleError
from tools.hub.rules.sql import Statement, parse
from tools.hub.store import Store

# The documents': an account has at most a hundred rules.
MAX_RULES = 100
MAX_DESCRIPTION_CHARS = 500
_NAME = re.compile(r"[A-Za-z0-9:_-]{1,64}")


@dataclass(slots=True)
class Tally:
    """How often since the hub started: messages of the rule's topics, those its condition let
    pass, actions done and actions failed."""

    matched: int = 0
    passed: int = 0
    done: int = 0
    failed: int = 0
    last_error: str = ""


@dataclass(slots=True)
class Rule:
    """`actions_text` may hold a token."""

    name: str
    sql: str
    actions_text: str = field(repr=False)
    description: str
    enabled: bool
    created_ms: int
    statement: Statement = field(init=False, repr=False)
    actions: list[Action] = field(init=False)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        """Raises RuleError."""
        self.statement = parse(self.sql)
        self.actions = parse_actions(self.actions_text)

    def shown_actions(self) -> list[dict[str, Any]]:
        """The actions without their tokens."""
        return [
            {"forward": {"api": action.url, "signed": bool(action.token)}}
            if isinstance(action, Forward)
            else {"republish": {"topic": action.topic}}
            for action in self.actions
        ]


class RuleBook:
    """Every change is committed before the call returns; each raises RuleError."""

    def __init__(self, store: Store, clock: HubClock, records: Records) -> None:
        self._store = store
        self._clock = clock
        self._records = records
        self.rules: dict[str, Rule] = {}
        for name, sql, actions, description, enabled, created_ms in store.query(
            "SELECT * FROM rule ORDER BY created_ms, name"
        ):
            self.rules[name] = Rule(name, sql, actions, description, bool(enabled), created_ms)

    def rule(self, name: str) -> Rule:
        rule = self.rules.get(name)
        if rule is None:
            raise RuleError(f"there is no rule {name[:80]}", "not_found")
        return rule

    def new(self, name: str, sql: str, actions: str, description: str = "") -> Rule:
        """A rule, disabled, that is not kept yet."""
        if not _NAME.fullmatch(name):
            raise RuleError("a rule's name is 1 to 64 letters, digits, ':', '_' or '-'")
        if not all(_is_text(text) for text in (sql, actions, description)):
            raise RuleError("a rule's texts hold half a surrogate pair, which is no character")
        if len(description) > MAX_DESCRIPTION_CHARS:
            raise RuleError(f"a description has at most {MAX_DESCRIPTION_CHARS} characters")
        return Rule(name, sql, actions, description, False, self._clock.now_ms())

    def add(self, rule: Rule) -> None:
        if rule.name in self.rules:
            raise RuleError(f"there is a rule {rule.name} already", "conflict")
        if len(self.rules) >= MAX_RULES:
            raise RuleError(f"a hub has at most {MAX_RULES} rules", "limit")
        self._keep(rule, "rule added")

    def replace(self, rule: Rule) -> None:
        """Another rule takes the place of the one of its name, with its age and its tally."""
        before = self.rule(rule.name)
        rule.created_ms, rule.tally = before.created_ms, before.tally
        self._keep(rule, "rule replaced")

    def set_enabled(self, rule: Rule, enabled: bool) -> None:
        rule.enabled = enabled
        self._keep(rule, "rule enabled" if enabled else "rule disabled")

    def remove(self, name: str) -> None:
        rule = self.rule(name)
        self._store.later("DELETE FROM rule WHERE name = ?", (rule.name,))
        self._commit(rule, "rule removed")
        del self.rules[rule.name]

    def _keep(self, rule: Rule, action: str) -> None:
        self._store.later(
            "INSERT OR REPLACE INTO rule VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(rule.name, rule.sql, rule.actions_text, rule.description),
                *(int(rule.enabled), rule.created_ms),
            ),
        )
        self._commit(rule, action)
        self.rules[rule.name] = rule

    def _commit(self, rule: Rule, action: str) -> None:
        self._records.event(events.RULE, None, rule=rule.name, action=action)
        self._store.flush()


def _is_text(text: str) -> bool:
    return text == text.encode("utf-8", "replace").decode()
