"""What a rule is applied to."""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tools.hub.identity import Identity


@dataclass(frozen=True)
class RuleMessage:
    """A message of a device, or one the hub makes of its state or its shadow."""

    device: Identity
    topic: str
    payload: bytes
    qos: int
    at_ms: int
    number: int

    @cached_property
    def document(self) -> Any:
        """The payload as JSON; None where it is none."""
        try:
            return json.loads(self.payload, parse_constant=_refuse, parse_float=_finite)
        except (ValueError, RecursionError):
            return None


def _finite(text: str) -> float:
    """1e999 is JSON, but no number that could be written again."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _refuse(constant: str) -> None:
    """NaN and infinities are Python's own, not JSON's."""
    raise ValueError(constant)
