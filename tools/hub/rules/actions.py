"""What a rule does with what it selected, as the cloud API writes it:
`[{"republish": {"topic": "PID/DN/control"}}, {"forward": {"api": "http://...", "token": "..."}}]`.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tools.hub.rules.errors import RuleError
from tools.hub.rules.message import RuleMessage

# The documents': one rule forwards to at most five places.
MAX_ACTIONS = 5
MAX_TOPIC_CHARS = 128
MAX_URL_CHARS = 1024
MAX_TOKEN_CHARS = 128
_VARIABLE = re.compile(r"\$\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Republish:
    """To another topic, which may name selected fields: `PID/${target}/control`."""

    topic: str

    def resolve(self, message: RuleMessage, values: dict[str, Any]) -> str:
        """The topic for one message. Raises RuleError when a field it names is no single level."""
        known = {
            "productId": message.device.product_id,
            "deviceName": message.device.device_name,
        }

        def chosen(variable: re.Match[str]) -> str:
            name = variable[1].strip()
            value = values.get(name, known.get(name))
            text = str(value) if isinstance(value, str | int | float) else ""
            if not text or "/" in text or not text.isprintable():
                raise RuleError(f"{self.topic}: the message selects no topic level as {name}")
            return text

        topic = _VARIABLE.sub(chosen, self.topic)
        if topic.startswith("$"):
            raise RuleError(f"{topic}: rules republish to topics PID/DN/... only")
        return topic


@dataclass(frozen=True, slots=True)
class Forward:
    """By HTTP POST; with a token the request is signed."""

    url: str
    token: str = field(default="", repr=False)


Action = Republish | Forward


def parse_actions(text: str) -> list[Action]:
    """Raises RuleError."""
    try:
        listed = json.loads(text)
    except (ValueError, RecursionError):
        raise RuleError("the actions are not JSON", "json") from None
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise RuleError("the actions are a list of objects")
    if not 0 < len(listed) <= MAX_ACTIONS:
        raise RuleError(f"a rule has 1 to {MAX_ACTIONS} actions")
    return [_parsed(each) for each in listed]


def _parsed(action: dict[str, Any]) -> Action:
    match action:
        case {"republish": {"topic": str(topic)}} if len(action) == 1:
            own = not topic.startswith("$") or topic.startswith("${")
            if not own or not 0 < len(topic) <= MAX_TOPIC_CHARS or set(topic) & set("+#\0"):
                raise RuleError(
                    f"republish: a topic PID/DN/... of at most {MAX_TOPIC_CHARS} characters, "
                    "without a wildcard",
                    "topic",
                )
            return Republish(topic)
        case {"forward": {"api": str(url), **others}} if len(action) == 1:
            token = others.get("token") or ""
            if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARS:
                raise RuleError(f"forward: a token has at most {MAX_TOKEN_CHARS} characters")
            return Forward(_checked_url(url), token)
    kinds = ", ".join(str(kind)[:40] for kind in action) or "nothing"
    raise RuleError(
        f"an action is republish with a topic, or forward with an api; this one is {kinds}. "
        "The cloud's databases and queues are not on this desk"
    )


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or len(url) > MAX_URL_CHARS or not url.isprintable():
        raise RuleError(f"forward: api is an http or https URL of at most {MAX_URL_CHARS}")
    return url
