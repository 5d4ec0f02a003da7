"""The values of SQL expressions. A field that is not there, or cannot be computed with, has the
value None; a condition holds when it is true, and not when it is None. Pure but for randint and
newuuid."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tools.hub.rules.errors import RuleError
from tools.hub.rules.message import RuleMessage

MAX_DEPTH = 30
# Beyond this magnitude arithmetic gives None; so its results stay below what a float can hold.
_LARGEST_NUMBER = 10**150
Value = Any
Evaluate = Callable[[RuleMessage], Value]

_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Expression:
    """`name` is what a selected value is called that is given no other name, if it has one."""

    evaluate: Evaluate
    depth: int = 1
    name: str | None = None


def build(
    compute: Callable[[Sequence[Value]], Value],
    operands: Sequence[Expression],
    name: str | None = None,
) -> Expression:
    """An expression over the values of others. Raises RuleError when it is nested too deeply."""
    depth = 1 + max((each.depth for each in operands), default=0)
    if depth > MAX_DEPTH:
        raise RuleError(f"expressions are nested at most {MAX_DEPTH} deep")
    evaluates = [each.evaluate for each in operands]
    return Expression(lambda message: compute([each(message) for each in evaluates]), depth, name)


def constant(value: Value) -> Expression:
    return Expression(lambda _message: value)


def field(steps: Sequence[str | int]) -> Expression:
    """A field of the payload by its path of keys and indexes; its last key is its name."""

    def evaluate(message: RuleMessage) -> Value:
        value = message.document
        for step in steps:
            if isinstance(step, int):
                found = isinstance(value, list) and step < len(value)
            else:
                found = isinstance(value, dict) and step in value
            if not found:
                return None
            value = value[step]
        return value

    names = [step for step in steps if isinstance(step, str)]
    return Expression(evaluate, name=names[-1])


def compare(sign: str) -> Callable[[Sequence[Value]], Value]:
    """Numbers compare with numbers and texts with texts; what differs in kind is not equal."""

    def compute(values: Sequence[Value]) -> Value:
        left, right = values
        if left is None or right is None:
            return None
        alike = _kind(left) == _kind(right)
        if sign == "=":
            return alike and left == right
        if sign in ("<>", "!="):
            return not (alike and left == right)
        if not alike or _kind(left) not in ("number", "text"):
            return None
        return _ORDERS[sign](left, right)

    return compute


def contains(wanted: bool) -> Callable[[Sequence[Value]], Value]:
    equals = compare("=")

    def compute(values: Sequence[Value]) -> Value:
        value, *others = values
        if value is None:
            return None
        return any(equals((value, other)) is True for other in others) is wanted

    return compute


def like(pattern: str) -> Callable[[Sequence[Value]], Value]:
    """`%` stands for any text, `_` for one character."""
    # One expression for each piece between `%`, so that none can be matched in many ways.
    first, *others = [
        re.compile("".join("." if each == "_" else re.escape(each) for each in piece), re.DOTALL)
        for piece in pattern.split("%")
    ]

    def compute(values: Sequence[Value]) -> Value:
        text = values[0]
        if not isinstance(text, str):
            return None
        if not others:
            return first.fullmatch(text) is not None
        found = first.match(text)
        for piece in others[:-1]:
            found = piece.search(text, found.end()) if found else None
        # A piece has no repetition: its length is fixed.
        length = len(pattern.rpartition("%")[2])
        if found is None or len(text) - length < found.end():
            return False
        return others[-1].fullmatch(text, len(text) - length) is not None

    return compute


def both(values: Sequence[Value]) -> Value:
    return all(value is True for value in values)


def either(values: Sequence[Value]) -> Value:
    return any(value is True for value in values)


def negated(values: Sequence[Value]) -> Value:
    return not values[0] if isinstance(values[0], bool) else None


def arithmetic(signs: Sequence[str]) -> Callable[[Sequence[Value]], Value]:
    """`a + b - c` and `a * b / c % d`, from the left."""

    def compute(values: Sequence[Value]) -> Value:
        result, *others = values
        for sign, value in zip(signs, others, strict=True):
            result = _computed(sign, result, value)
        return result

    return compute


def minus(values: Sequence[Value]) -> Value:
    return _computed("-", 0, values[0])


def _computed(sign: str, left: Value, right: Value) -> Value:
    if _kind(left) != "number" or _kind(right) != "number":
        return None
    # Before it is computed: an integer of a thousand digits is one too many.
    if max(abs(left), abs(right)) > _LARGEST_NUMBER:
        return None
    if sign in ("/", "%"):
        if right == 0:
            return None
        return left / right if sign == "/" else left % right
    return {"+": operator.add, "-": operator.sub, "*": operator.mul}[sign](left, right)


def _kind(value: Value) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else type(value).__name__
