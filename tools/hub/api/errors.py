"""Errors of the API, and how requests are read."""

from typing import Any

from aiohttp import web


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
    text = await request.text()
    try:
        value = await request.json() if text else {}
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


def integer_query(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) > most:
        raise ApiError(400, "invalid", f"{name}: must be an integer from 0 to {most}")
    return int(text)
