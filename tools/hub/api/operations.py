"""Routes that work the hub itself: its health, its clock and its faults."""

import platform

import aiohttp
from aiohttp import web

from tools.hub import events
from tools.hub.address import Address
from tools.hub.api.errors import ApiError, integer_field, read_object, text_field
from tools.hub.authority import Authority
from tools.hub.broker.broker import Broker
from tools.hub.faults import KINDS
from tools.hub.identity import parse_path

_MAX_OFFSET_S = 100 * 366 * 24 * 3600


def routes(broker: Broker, address: Address, authority: Authority) -> list[web.RouteDef]:
    """The routes over one broker."""
    context = broker.context

    async def health(request: web.Request) -> web.Response:
        return web.json_response(
            {
                **address.named_ports(),
                "api_port": _port(request),
                "host": context.config.host,
                "now_ms": context.clock.now_ms(),
                "clock_offset_s": context.clock.offset_s,
                "connections": len(broker.connections),
                "python": platform.python_version(),
                "aiohttp": aiohttp.__version__,
            }
        )

    async def certificate(_request: web.Request) -> web.Response:
        return web.json_response({"certificate_pem": authority.certificate_pem.decode()})

    async def set_clock(request: web.Request) -> web.Response:
        offset_s = integer_field(await read_object(request), "offset_s", 0)
        if abs(offset_s) > _MAX_OFFSET_S:
            raise ApiError(400, "invalid", "offset_s: at most a century")
        context.clock.offset_s = offset_s
        context.records.event(events.CLOCK, None, offset_s=offset_s)
        broker.sweep()
        return web.json_response({"offset_s": offset_s, "now_ms": context.clock.now_ms()})

    async def arm_fault(request: web.Request) -> web.Response:
        body = await read_object(request)
        device = body.get("device")
        if device is not None:
            identity = parse_path(text_field(body, "device"))
            if identity is None:
                raise ApiError(400, "invalid", "device: must be PID/DN")
            context.registry.device(*identity)
        count = None if body.get("count", 1) is None else integer_field(body, "count", 1)
        parameters = body.get("parameters", {})
        if not isinstance(parameters, dict):
            raise ApiError(400, "invalid", "parameters: must be an object")
        fault = context.faults.arm(text_field(body, "kind"), device, count, parameters)
        for connection in broker.logged_in():
            connection.strike_now()
        return web.json_response({"fault_id": fault.fault_id, "kind": fault.kind}, status=201)

    async def list_faults(_request: web.Request) -> web.Response:
        kinds = {name: kind.help for name, kind in KINDS.items()}
        return web.json_response({"faults": context.faults.listing(), "kinds": kinds})

    async def clear_faults(_request: web.Request) -> web.Response:
        context.faults.clear()
        return web.json_response({"faults": []})

    return [
        web.get("/health", health),
        web.get("/ca", certificate),
        web.post("/clock", set_clock),
        web.post("/faults", arm_fault),
        web.get("/faults", list_faults),
        web.delete("/faults", clear_faults),
    ]


def _port(request: web.Request) -> int:
    """The port a request came in on."""
    transport = request.transport
    return int(transport.get_extra_info("sockname")[1]) if transport else 0
