"""Routes for gateways and their sub-devices."""

from typing import Any

from aiohttp import web

from tools.hub.api.errors import ApiError, boolean_field, named_device, read_object
from tools.hub.broker.broker import Broker
from tools.hub.identity import Identity, parse_path
from tools.hub.services.topology import MAX_SUB_DEVICES


def routes(broker: Broker) -> list[web.RouteDef]:
    """The routes over one broker."""
    topology, presence = broker.services.topology, broker.presence

    def listing(gateway: Identity) -> web.Response:
        listed = [
            {"device": each.path, "online": presence.gateway_of(each) == gateway}
            for each in topology.sub_devices(gateway)
        ]
        return web.json_response({"gateway": gateway.path, "sub_devices": listed})

    async def show(request: web.Request) -> web.Response:
        gateway = named_device(request)
        broker.context.registry.device(*gateway)
        return listing(gateway)

    async def bind(request: web.Request) -> web.Response:
        gateway = named_device(request)
        topology.bind_all(gateway, _devices(await read_object(request)))
        return listing(gateway)

    async def unbind(request: web.Request) -> web.Response:
        gateway = named_device(request)
        topology.unbind_each(gateway, _devices(await read_object(request)))
        return listing(gateway)

    async def unbind_all(request: web.Request) -> web.Response:
        gateway = named_device(request)
        topology.unbind_all(gateway)
        return listing(gateway)

    async def search(request: web.Request) -> web.Response:
        gateway = named_device(request)
        begin = boolean_field(await read_object(request), "begin", True)
        topology.search(gateway, begin)
        return web.json_response({"gateway": gateway.path, "searching": begin})

    path = "/products/{pid}/devices/{dn}/sub_devices"
    return [
        web.get(path, show),
        web.post(path + "/bind", bind),
        web.post(path + "/unbind", unbind),
        web.post(path + "/unbind_all", unbind_all),
        web.post(path + "/search", search),
    ]


def _devices(body: dict[str, Any]) -> list[Identity]:
    """The devices that a body lists as PID/DN, each once."""
    listed = body.get("devices")
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_SUB_DEVICES:
        raise ApiError(400, "invalid", f"devices: must list 1 to {MAX_SUB_DEVICES} as PID/DN")
    found = [parse_path(each) if isinstance(each, str) else None for each in listed]
    devices = [each for each in found if each is not None]
    if len(devices) < len(listed):
        raise ApiError(400, "invalid", "devices: each must be PID/DN")
    return list(dict.fromkeys(devices))
