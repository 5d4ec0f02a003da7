"""Errors of the API, and how requests are read."""

import base64
import binascii
import json
from contextlib import suppress
from typing import Any

from aiohttp import web

from tools.hub.identity import Identity


class ApiError(Exception):
    """A request that is refused, with its HTTP status and the API's code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def error_response(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request body; an empty body is an empty one."""
    body = await request.read()
    try:
        value = json.loads(body.decode()) if body else {}  # a charset beside it changes nothing
    except (ValueError, RecursionError):
        raise ApiError(400, "not_json", "the body is not JSON") from None
    if not isinstance(value, dict):
        raise ApiError(400, "invalid", "the body is not a JSON object")
    return value


def text_field(body: dict[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise ApiError(400, "invalid", f"{name}: must be text")
    return value


def integer_field(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ApiError(400, "invalid", f"{name}: must be an integer")
    return value


def boolean_field(body: dict[str, Any], name: str, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise ApiError(400, "invalid", f"{name}: must be true or false")
    return value


def payload_field(body: dict[str, Any]) -> bytes:
    if ("payload" in body) == ("payload_base64" in body):
        raise ApiError(400, "invalid", "give either payload (text) or payload_base64")
    try:
        if "payload" in body:
            return text_field(body, "payload").encode()
        return base64.b64decode(text_field(body, "payload_base64"), validate=True)
    except UnicodeEncodeError:
        raise ApiError(400, "invalid", "payload: not Unicode text") from None
    except binascii.Error:
        raise ApiError(400, "invalid", "payload_base64: not base64") from None


def shown_payload(payload: bytes) -> dict[str, str]:
    """A payload as JSON shows it: text when it is UTF-8, base64 always."""
    shown = {"payload_base64": base64.b64encode(payload).decode()}
    with suppress(UnicodeDecodeError):
        shown["payload"] = payload.decode()
    return shown


def named_device(request: web.Request) -> Identity:
    """The device that a path names, which need not be there."""
    return Identity(request.match_info["pid"], request.match_info["dn"])


def integer_query(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) > most:
        raise ApiError(400, "invalid", f"{name}: must be an integer from 0 to {most}")
    return int(text)
