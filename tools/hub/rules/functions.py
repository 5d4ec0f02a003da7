"""The functions that the vendor's page on rule functions lists (document 634/47221)."""

import hashlib
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tools.hub.rules.errors import RuleError
from tools.hub.rules.expressions import Expression, Value, build
from tools.hub.rules.message import RuleMessage

MAX_TEXT_CHARS = 64 * 1024
_HASHES = {name: name.lower() for name in ("MD5", "SHA1", "SHA256", "SHA384", "SHA512")}


@dataclass(frozen=True, slots=True)
class _Function:
    """`compute` takes the message and the values of one of `counts` arguments."""

    name: str
    counts: tuple[int, ...]
    compute: Callable[..., Value]


def _topic(message: RuleMessage, number: Value = None) -> Value:
    if number is None:
        return message.topic
    levels = message.topic.split("/")
    if not isinstance(number, int) or not 1 <= number <= len(levels):
        return None
    return levels[number - 1]


def _bin_to_dec(message: RuleMessage, data: Value = None) -> Value:
    """Binary digits as a number: those of a field, or the payload."""
    text = message.payload.decode("ascii", "replace") if data is None else data
    digits = isinstance(text, str) and 0 < len(text) <= 64 and set(text) <= {"0", "1"}
    return int(text, 2) if digits else None


def _to_hex(message: RuleMessage, data: Value = None) -> Value:
    if data is None:
        return message.payload.hex()
    return data.encode("utf-8", "surrogatepass").hex() if isinstance(data, str) else None


def _randint(_message: RuleMessage, least: Value, most: Value) -> Value:
    numbers = all(isinstance(value, int) for value in (least, most))
    return random.randint(least, most) if numbers and least <= most else None


def _crypto(_message: RuleMessage, value: Value, algorithm: Value) -> Value:
    text, known = _text(value), _HASHES.get(str(algorithm).upper())
    if text is None or known is None:
        return None
    return hashlib.new(known, text.encode("utf-8", "surrogatepass")).hexdigest()


def _concat(_message: RuleMessage, first: Value, second: Value) -> Value:
    texts = [_text(first), _text(second)]
    return None if None in texts else _capped("".join(text or "" for text in texts))


def _replace(_message: RuleMessage, source: Value, old: Value, new: Value) -> Value:
    if not all(isinstance(value, str) for value in (source, old, new)) or not old:
        return None
    grown = len(source) + source.count(old) * (len(new) - len(old))
    return source.replace(old, new) if grown <= MAX_TEXT_CHARS else None


def _substring(_message: RuleMessage, source: Value, start: Value, end: Value) -> Value:
    if not isinstance(source, str) or not all(isinstance(each, int) for each in (start, end)):
        return None
    return source[start:end] if 0 <= start <= end else None


def _case(change: Callable[[str], str]) -> Callable[..., Value]:
    return lambda _message, value: change(value) if isinstance(value, str) else None


_FUNCTIONS = {
    function.name.lower(): function
    for function in (
        _Function("productId", (0,), lambda message: message.device.product_id),
        _Function("deviceName", (0,), lambda message: message.device.device_name),
        _Function("timestamp", (0,), lambda message: message.at_ms // 1000),
        _Function("topic", (0, 1), _topic),
        _Function("payloadLen", (0,), lambda message: len(message.payload)),
        _Function("requestId", (0,), lambda message: message.number),
        _Function("newuuid", (0,), lambda _message: str(uuid.uuid4())),
        _Function("bin_to_dec", (0, 1), _bin_to_dec),
        _Function("to_hex", (0, 1), _to_hex),
        _Function("randint", (2,), _randint),
        _Function("upper", (1,), _case(str.upper)),
        _Function("lower", (1,), _case(str.lower)),
        _Function("crypto", (2,), _crypto),
        _Function("concat", (2,), _concat),
        _Function("replace", (3,), _replace),
        _Function("substring", (3,), _substring),
    )
}


def call(name: str, arguments: Sequence[Expression]) -> Expression:
    """Raises RuleError for a function that is not there, or takes another number of arguments."""
    function = _FUNCTIONS.get(name.lower())
    if function is None:
        known = ", ".join(each.name for each in _FUNCTIONS.values())
        raise RuleError(f"there is no function {name[:40]}; those are: {known}")
    if len(arguments) not in function.counts:
        wanted = " or ".join(map(str, function.counts))
        raise RuleError(f"{function.name} takes {wanted} arguments, not {len(arguments)}")
    the_message = Expression(lambda message: message)

    def compute(values: Sequence[Any]) -> Value:
        message, *given = values
        # An argument that has no value leaves the function without one.
        return None if None in given else function.compute(message, *given)

    return build(compute, [the_message, *arguments], function.name)


def _text(value: Value) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _capped(text: str) -> str | None:
    return text if len(text) <= MAX_TEXT_CHARS else None
