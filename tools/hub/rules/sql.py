"""`SELECT fields FROM 'topic filter' WHERE condition`, parsed once and applied to messages."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

from tools.hub.rules import expressions, functions
from tools.hub.rules.errors import RuleError
from tools.hub.rules.expressions import Expression, Value
from tools.hub.rules.message import RuleMessage
from tools.hub.topics import filter_fault, matches

MAX_SQL_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Selected:
    """What a statement made of a message. `values` are what its actions may name."""

    payload: bytes
    values: dict[str, Value]

    @property
    def document(self) -> Any:
        """The payload as JSON, else as text."""
        try:
            return json.loads(self.payload)
        except (ValueError, RecursionError):
            return self.payload.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Statement:
    """A name of None stands for all fields of the payload."""

    selections: tuple[tuple[str | None, Expression], ...]
    topic_filter: str
    condition: Expression | None

    def matches(self, topic: str) -> bool:
        return matches(self.topic_filter, topic)

    def apply(self, message: RuleMessage) -> Selected | None:
        """None where the condition does not hold."""
        if self.condition is not None and self.condition.evaluate(message) is not True:
            return None
        document = message.document
        everything = document if isinstance(document, dict) else {}
        if [name for name, _ in self.selections] == [None]:
            return Selected(message.payload, everything)
        values: dict[str, Value] = {}
        for name, expression in self.selections:
            if name is None:
                values |= everything
            elif (value := expression.evaluate(message)) is not None:
                values[name] = value
        return Selected(json.dumps(values, ensure_ascii=False).encode("utf-8", "replace"), values)


def parse(sql: str) -> Statement:
    """Raises RuleError with the code `sql`."""
    try:
        return _parse(sql)
    except RuleError as error:
        raise RuleError(str(error), "sql") from None


def _parse(sql: str) -> Statement:
    if len(sql.encode("utf-8", "surrogatepass")) > MAX_SQL_BYTES:
        raise RuleError(f"a statement is at most {MAX_SQL_BYTES} bytes")
    try:
        tree = _PARSER.parse(sql)
    except VisitError as error:
        raise _unwrapped(error) from None
    except UnexpectedInput as error:
        raise RuleError(_explain(sql, error)) from None
    assert isinstance(tree, Statement)
    fault = filter_fault(tree.topic_filter)
    if fault is not None:
        raise RuleError(f"FROM '{tree.topic_filter}': {fault}")
    return tree


def _unwrapped(error: VisitError) -> Exception:
    return error.orig_exc if isinstance(error.orig_exc, RuleError) else error


def _explain(sql: str, error: UnexpectedInput) -> str:
    place = error.pos_in_stream
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return "the statement ends too early; write SELECT fields FROM 'topic' WHERE condition"
    near = sql[place : place + 20] if place is not None else ""
    what = "this character" if isinstance(error, UnexpectedCharacters) else "this word"
    return f"column {error.column}: {what} cannot stand here: {near!r}"


@v_args(inline=True)
class _Builder(Transformer[Token, Statement]):
    """Makes expressions while the parser reads; there is no tree of the text."""

    def statement(self, *parts: Any) -> Statement:
        selections = [part for part in parts if isinstance(part, tuple)]
        (topic_filter,) = [part for part in parts if type(part) is str]
        condition = parts[-1] if isinstance(parts[-1], Expression) else None
        names = [name for name, _ in selections]
        if len(set(names)) < len(names):
            raise RuleError("two of the selected fields have the same name; use AS")
        return Statement(tuple(selections), topic_filter, condition)

    def everything(self) -> tuple[None, Expression]:
        return None, expressions.constant(None)

    def named(self, expression: Expression, *alias: Any) -> tuple[str, Expression]:
        name = next((part for part in reversed(alias) if type(part) is str), expression.name)
        if name is None:
            raise RuleError("a selected expression that is no field needs a name: ... AS name")
        return name, expression

    def topic(self, token: Token) -> str:
        return _unquoted(token)

    def name(self, token: Token) -> str:
        return token.strip("`") + ""

    def number(self, token: Token) -> Expression:
        return expressions.constant(float(token) if "." in token else int(token))

    def text(self, token: Token) -> Expression:
        return expressions.constant(_unquoted(token))

    def true(self, _: Token) -> Expression:
        return expressions.constant(True)

    def false(self, _: Token) -> Expression:
        return expressions.constant(False)

    def index(self, token: Token) -> int:
        if "." in token:
            raise RuleError(f"[{token}]: an index is a whole number")
        return int(token)

    def field(self, *steps: str | int) -> Expression:
        return expressions.field(steps)

    def call(self, name: Token, *arguments: Expression | None) -> Expression:
        return functions.call(str(name), [each for each in arguments if each is not None])

    def minus(self, operand: Expression) -> Expression:
        return expressions.build(expressions.minus, [operand])

    def multiplying(self, token: Token) -> Token:
        return token

    def arithmetic(self, *parts: Any) -> Expression:
        return expressions.build(expressions.arithmetic(parts[1::2]), parts[::2])

    def compared(self, left: Expression, sign: Token, right: Expression) -> Expression:
        return expressions.build(expressions.compare(sign), [left, right])

    def one_of(self, *parts: Any) -> Expression:
        return expressions.build(expressions.contains(True), _operands(parts))

    def none_of(self, *parts: Any) -> Expression:
        return expressions.build(expressions.contains(False), _operands(parts))

    def like(self, value: Expression, _: Token, pattern: Token) -> Expression:
        return expressions.build(expressions.like(_unquoted(pattern)), [value])

    def negated(self, _: Token, operand: Expression) -> Expression:
        return expressions.build(expressions.negated, [operand])

    def both(self, *parts: Any) -> Expression:
        return expressions.build(expressions.both, _operands(parts))

    def either(self, *parts: Any) -> Expression:
        return expressions.build(expressions.either, _operands(parts))

    def branch(self, *parts: Any) -> list[Expression]:
        return _operands(parts)

    def case(self, *parts: Any) -> Expression:
        branches = [part for part in parts if isinstance(part, list)]
        otherwise = _operands(parts) or [expressions.constant(None)]

        def compute(values: Sequence[Value]) -> Value:
            *pairs, last = values
            for condition, value in zip(pairs[::2], pairs[1::2], strict=True):
                if condition is True:
                    return value
            return last

        flat = [each for branch in branches for each in branch]
        return expressions.build(compute, [*flat, *otherwise])


def _operands(parts: Sequence[Any]) -> list[Expression]:
    return [part for part in parts if isinstance(part, Expression)]


def _unquoted(token: Token) -> str:
    text = str(token)
    return text[1:-1] if text[0] in "'\"" else text


_PARSER = Lark(
    Path(__file__).with_name("grammar.lark").read_text(),
    start="statement",
    parser="lalr",
    transformer=_Builder(),
    maybe_placeholders=False,
)
