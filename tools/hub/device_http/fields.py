"""The fields of a request's JSON body, each checked for its type."""

import json
from typing import Any

from tools.hub.device_http.refused import Refused

Fields = dict[str, Any]


def read_fields(body: bytes) -> Fields:
    """The object a body is. Raises Refused."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("InvalidParameter", "the body is not JSON") from None
    if not isinstance(fields, dict):
        raise Refused("InvalidParameter", "the body is not a JSON object")
    return fields


def text(fields: Fields, name: str) -> str:
    """A field that must be there. Raises Refused."""
    if name not in fields:
        raise Refused("MissingParameter", f"{name} is missing")
    value = fields[name]
    if not isinstance(value, str):
        raise Refused("InvalidParameterValue", f"{name}: must be a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        # JSON can write half of a character, which is none.
        raise Refused("InvalidParameterValue", f"{name}: not Unicode text") from None
    return value


def optional_text(fields: Fields, *names: str) -> str | None:
    """The first of these fields that is there and not empty."""
    for name in names:
        if fields.get(name):
            return text(fields, name)
    return None


def integer(fields: Fields, name: str) -> int:
    value = fields.get(name)
    if value is None:
        raise Refused("MissingParameter", f"{name} is missing")
    if not isinstance(value, int) or isinstance(value, bool):
        raise Refused("InvalidParameterValue", f"{name}: must be an integer")
    return value
