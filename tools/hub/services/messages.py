"""The JSON that services are asked in and answer with. Pure."""

import json
from typing import Any, TypeGuard

MAX_TOKEN_CHARS = 128

Json = dict[str, Any]


def read_object(payload: bytes) -> Json | None:
    """The object in a payload; None for what is none."""
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def client_token(request: Json) -> str | None:
    """The client token as it is answered: a number, as in the documents' example, as text. None
    for what cannot be one."""
    token = request.get("clientToken")
    if is_integer(token):
        token = str(token)
    if isinstance(token, str) and len(token) <= MAX_TOKEN_CHARS and is_text(token):
        return token
    return None


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether it is a number without a fraction; `true` is none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_text(value: Any) -> TypeGuard[str]:
    """Whether UTF-8 can say it: JSON's escapes can name halves of a character."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def encode(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
