"""Routes for what an application sends devices beside messages on their topics: calls,
broadcasts, configurations, log levels."""

from typing import Any

from aiohttp import web

from tools.hub.api.errors import (
    ApiError,
    boolean_field,
    integer_field,
    named_device,
    payload_field,
    read_object,
    shown_payload,
)
from tools.hub.services import Services
from tools.hub.services.log_level import LEVELS
from tools.hub.services.remote_config import ProductConfig


def routes(services: Services) -> list[web.RouteDef]:
    """The routes over the services of one hub."""

    async def call(request: web.Request) -> web.Response:
        device, body = named_device(request), await read_object(request)
        answer = await services.rrpc.call(device, payload_field(body))
        shown = {"device": device.path, "process_id": answer.process_id}
        return web.json_response(shown | shown_payload(answer.payload))

    async def broadcast(request: web.Request) -> web.Response:
        payload = payload_field(await read_object(request))
        reached = services.broadcast.send(request.match_info["pid"], payload)
        return web.json_response(reached._asdict())

    async def show_config(request: web.Request) -> web.Response:
        product_id = request.match_info["pid"]
        return web.json_response(_config(product_id, services.remote_config.get(product_id)))

    async def set_config(request: web.Request) -> web.Response:
        product_id, body = request.match_info["pid"], await read_object(request)
        config = services.remote_config.get(product_id)
        if "content" in body:
            if not isinstance(body["content"], dict):
                raise ApiError(400, "invalid", "content: must be an object")
            config = services.remote_config.set(product_id, body["content"])
        if "enabled" in body:
            enabled = boolean_field(body, "enabled", True)
            config = services.remote_config.enable(product_id, enabled)
        return web.json_response(_config(product_id, config))

    async def push_config(request: web.Request) -> web.Response:
        product_id = request.match_info["pid"]
        return web.json_response({"pushed": services.remote_config.push(product_id)})

    async def show_log_level(request: web.Request) -> web.Response:
        device = named_device(request)
        level = services.log_level.get(device)
        return web.json_response({"device": device.path, "level": level, "name": LEVELS[level]})

    async def set_log_level(request: web.Request) -> web.Response:
        level = integer_field(await read_object(request), "level", 0)
        services.log_level.set(named_device(request), level)
        return await show_log_level(request)

    product, device = "/products/{pid}", "/products/{pid}/devices/{dn}"
    return [
        web.post(device + "/call", call),
        web.post(product + "/broadcast", broadcast),
        web.get(product + "/config", show_config),
        web.post(product + "/config", set_config),
        web.post(product + "/config/push", push_config),
        web.get(device + "/log_level", show_log_level),
        web.post(device + "/log_level", set_log_level),
    ]


def _config(product_id: str, config: ProductConfig) -> dict[str, Any]:
    return {
        "product_id": product_id,
        "enabled": config.enabled,
        "content": config.content,
        "updated_ms": config.updated_ms,
    }
