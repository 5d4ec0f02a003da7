"""Routes for the rule engine."""

import json
from typing import Any

from aiohttp import web

from tools.hub.api.errors import ApiError, read_object, shown_payload, text_field
from tools.hub.rules.errors import RuleError
from tools.hub.rules.service import Rules, shown

_STATUS = {"not_found": 404, "conflict": 409, "limit": 409, "enabled": 409, "disabled": 409}


def routes(rules: Rules) -> list[web.RouteDef]:
    """The routes over one engine."""

    async def add(request: web.Request) -> web.Response:
        body = await read_object(request)
        enabled = body.get("enabled", True)
        if not isinstance(enabled, bool):
            raise ApiError(400, "invalid", "enabled: must be true or false")
        try:
            rule = await rules.add(
                text_field(body, "name"),
                text_field(body, "sql"),
                json.dumps(body.get("actions")),
                text_field(body, "description", ""),
                enabled,
            )
        except RuleError as error:
            raise _refusal(error) from None
        return web.json_response(shown(rule), status=201)

    async def listing(_request: web.Request) -> web.Response:
        return web.json_response({"rules": [shown(rule) for rule in rules.book.rules.values()]})

    async def show(request: web.Request) -> web.Response:
        try:
            return web.json_response(shown(rules.book.rule(request.match_info["name"])))
        except RuleError as error:
            raise _refusal(error) from None

    async def switch(request: web.Request) -> web.Response:
        enabled = request.match_info["action"] == "enable"
        try:
            rule = await rules.set_enabled(request.match_info["name"], enabled)
        except RuleError as error:
            raise _refusal(error) from None
        return web.json_response(shown(rule))

    async def remove(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            rules.book.remove(name)
        except RuleError as error:
            raise _refusal(error) from None
        return web.json_response({"removed": name})

    async def try_out(request: web.Request) -> web.Response:
        """A rule by `name`, or any by `sql`, on a message that nobody sent."""
        body = await read_object(request)
        try:
            sql, actions = _tried(rules, body)
            trial = rules.try_out(
                sql,
                actions,
                text_field(body, "topic"),
                text_field(body, "payload", "").encode("utf-8", "replace"),
            )
        except RuleError as error:
            raise _refusal(error) from None
        answer: dict[str, Any] = {
            "matches": trial.matches,
            "passes": trial.passes,
            "destinations": trial.destinations,
        }
        if trial.payload is not None:
            answer |= shown_payload(trial.payload)
        return web.json_response(answer)

    return [
        web.post("/rules", add),
        web.get("/rules", listing),
        web.post("/rule-trial", try_out),
        web.get("/rules/{name}", show),
        web.delete("/rules/{name}", remove),
        web.post("/rules/{name}/{action:enable|disable}", switch),
    ]


def _tried(rules: Rules, body: dict[str, Any]) -> tuple[str, str | None]:
    if "name" in body:
        rule = rules.book.rule(text_field(body, "name"))
        return rule.sql, rule.actions_text
    return text_field(body, "sql"), None


def _refusal(error: RuleError) -> ApiError:
    return ApiError(_STATUS.get(error.code, 400), error.code, str(error))
