"""Routes for messages: sent to devices, recorded from them, and watched as they pass."""

import json

from aiohttp import web

from tools.hub import application
from tools.hub.api.errors import (
    ApiError,
    integer_field,
    integer_query,
    payload_field,
    read_object,
    shown_payload,
    text_field,
)
from tools.hub.broker.broker import Broker
from tools.hub.device_log import MAX_ENTRIES, DeviceLog, LogQuery
from tools.hub.events import Watcher
from tools.hub.topics import filter_fault, has_wildcard, matches

MAX_ROWS = 10_000
MAX_WATCHERS = 20
_MAX_ID = 1 << 53


def routes(broker: Broker) -> list[web.RouteDef]:
    """The routes over one broker."""
    context = broker.context

    async def publish(request: web.Request) -> web.Response:
        body = await read_object(request)
        identity, outcome = application.publish(
            broker,
            context.registry,
            text_field(body, "topic"),
            payload_field(body),
            integer_field(body, "qos", 0),
        )
        context.store.flush()
        answer = {"device": identity.path, "outcome": outcome.state, "reason": outcome.reason}
        return web.json_response(answer)

    async def list_messages(request: web.Request) -> web.Response:
        topic_filter = _filter(request, "topic")
        after = integer_query(request, "after", 0, _MAX_ID)
        limit = integer_query(request, "limit", 1000, MAX_ROWS)
        condition = "topic_matches(?, topic)" if has_wildcard(topic_filter or "") else "topic = ?"
        rows = context.store.query(
            "SELECT id, at_ms, device, topic, payload, qos, dup FROM message "
            f"WHERE id > ? {'AND ' + condition if topic_filter else ''} ORDER BY id LIMIT ?",
            (after, topic_filter, limit) if topic_filter else (after, limit),
        )
        messages = [
            {"id": row[0], "at_ms": row[1], "device": row[2], "topic": row[3]}
            | shown_payload(row[4])
            | {"qos": row[5], "dup": bool(row[6])}
            for row in rows
        ]
        return web.json_response({"messages": messages})

    async def watch(request: web.Request) -> web.StreamResponse:
        topic_filter = _filter(request, "filter")
        if len(context.records.watchers) >= MAX_WATCHERS:
            raise ApiError(429, "limit", f"at most {MAX_WATCHERS} watch at once")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        watcher = Watcher()
        context.records.watchers.add(watcher)
        try:
            await response.prepare(request)
            while (passed := await watcher.next()) is not None:
                at_ms, direction, device, topic, payload, qos = passed
                if topic_filter and not matches(topic_filter, topic):
                    continue
                line = {"at_ms": at_ms, "direction": direction, "device": device, "topic": topic}
                line |= shown_payload(payload) | {"qos": qos, "missed": watcher.missed}
                await response.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        finally:
            context.records.watchers.discard(watcher)
        return response

    async def list_events(request: web.Request) -> web.Response:
        query = request.query
        page = DeviceLog(context.store).search(
            LogQuery(
                device=query.get("device"),
                product_id=query.get("product"),
                kinds=query.getall("kind", []),
                keyword=query.get("keyword", ""),
                from_ms=_optional_query(request, "from_ms"),
                until_ms=_optional_query(request, "until_ms"),
                newest_first="newest_first" in query,
                after=_optional_query(request, "after"),
                limit=integer_query(request, "limit", 1000, MAX_ENTRIES),
            )
        )
        listed = [
            {"id": number, "at_ms": at_ms, "device": device, "kind": kind} | detail
            for number, at_ms, device, kind, detail in page.entries
        ]
        return web.json_response({"events": listed, "next_after": page.next_after})

    return [
        web.post("/publish", publish),
        web.get("/messages", list_messages),
        web.get("/watch", watch),
        web.get("/events", list_events),
    ]


def _optional_query(request: web.Request, name: str) -> int | None:
    return integer_query(request, name, 0, _MAX_ID) if name in request.query else None


def _filter(request: web.Request, name: str) -> str | None:
    text = request.query.get(name)
    if not text:
        return None
    fault = filter_fault(text)
    if fault is not None:
        raise ApiError(400, "invalid", f"{name}: {fault}")
    return text
