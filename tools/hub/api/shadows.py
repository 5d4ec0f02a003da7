"""Routes for shadows."""

from typing import Any

from aiohttp import web

from tools.hub.api.errors import ApiError, integer_field, named_device, read_object
from tools.hub.identity import Identity
from tools.hub.services.shadow_document import ShadowDocument
from tools.hub.services.shadows import Shadows


def routes(shadows: Shadows) -> list[web.RouteDef]:
    """The routes over the shadows of one hub."""

    async def show(request: web.Request) -> web.Response:
        device = named_device(request)
        return web.json_response(_shadow(device, shadows.get(device)))

    async def update(request: web.Request) -> web.Response:
        device, body = named_device(request), await read_object(request)
        if "desired" not in body or not isinstance(body["desired"], dict | None):
            raise ApiError(400, "invalid", "desired: must be an object, or null to empty it")
        version = integer_field(body, "version", 0)
        document = shadows.update_desired(device, body["desired"], version)
        return web.json_response(_shadow(device, document))

    async def delete(request: web.Request) -> web.Response:
        device = named_device(request)
        return web.json_response(_shadow(device, shadows.delete(device)))

    path = "/products/{pid}/devices/{dn}/shadow"
    return [web.get(path, show), web.post(path, update), web.delete(path, delete)]


def _shadow(device: Identity, document: ShadowDocument) -> dict[str, Any]:
    return {
        "device": device.path,
        "state": document.state(with_delta=True),
        "metadata": document.metadata,
        "version": document.version,
        "updated_ms": document.updated_ms,
    }
