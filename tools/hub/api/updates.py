"""Routes for firmware and its updates."""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from tools.hub.api.errors import (
    ApiError,
    boolean_field,
    named_device,
    read_object,
    text_field,
)
from tools.hub.broker.broker import Broker
from tools.hub.ota.updates import Update

_PIECE_BYTES = 64 * 1024


def routes(broker: Broker) -> list[web.RouteDef]:
    """The routes over one broker."""
    updates = broker.updates

    async def upload(request: web.Request) -> web.Response:
        """The body is the file, as it is."""
        firmware = await updates.library.add(
            request.match_info["pid"],
            request.match_info["version"],
            request.content.iter_chunked(_PIECE_BYTES),
        )
        return web.json_response(asdict(firmware), status=201)

    async def list_versions(request: web.Request) -> web.Response:
        versions = updates.library.versions(request.match_info["pid"])
        return web.json_response({"firmware": [asdict(each) for each in versions]})

    async def remove(request: web.Request) -> web.Response:
        version = request.match_info["version"]
        updates.library.remove(request.match_info["pid"], version)
        return web.json_response({"removed": version})

    async def roll_out(request: web.Request) -> web.Response:
        body = await read_object(request)
        devices, share = body.get("devices"), body.get("share_percent", 100)
        if devices is not None and not (
            isinstance(devices, list) and all(isinstance(name, str) for name in devices)
        ):
            raise ApiError(400, "invalid", "devices: must be a list of device names")
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise ApiError(400, "invalid", "share_percent: must be a number")
        made = updates.roll_out(
            request.match_info["pid"],
            text_field(body, "version"),
            devices,
            share,
            boolean_field(body, "plain_http", False),
        )
        return web.json_response({"updates": [_update(each) for each in made]}, status=201)

    async def progress(request: web.Request) -> web.Response:
        found = updates.progress(request.match_info["pid"], request.query.get("version"))
        return web.json_response({"updates": [_update(each) for each in found]})

    async def withdraw(request: web.Request) -> web.Response:
        device = named_device(request)
        updates.withdraw(device)
        return web.json_response({"withdrawn": device.path})

    def _update(update: Update) -> dict[str, Any]:
        shown = asdict(update) | {"device": update.device.path}
        return shown | {"running": updates.running(update.device)}

    firmware_path = "/products/{pid}/firmware"
    return [
        web.get(firmware_path, list_versions),
        web.put(firmware_path + "/{version}", upload),
        web.delete(firmware_path + "/{version}", remove),
        web.post("/products/{pid}/updates", roll_out),
        web.get("/products/{pid}/updates", progress),
        web.delete("/products/{pid}/updates/{dn}", withdraw),
    ]
