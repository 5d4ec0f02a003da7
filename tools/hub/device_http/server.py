"""The gateway's ports, http and https: what HTTP is, and the shape of every answer."""

import asyncio
import logging
import ssl
import uuid
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tools.hub.device_http.gateway import Gateway, Request, sender
from tools.hub.device_http.refused import Refused
from tools.hub.faults import Faults
from tools.hub.store import StoreError
from tools.hub.transport.listener import ListenError

MAX_BODY_BYTES = 64 * 1024
MAX_CONNECTIONS = 500
# From the head of a request to the end of its body.
BODY_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 60.0
# The vendor's Python SDK takes an answer apart only when its status is 200, as the cloud's are.
_REFUSED_STATUS = 200
_log = logging.getLogger("hub")


class GatewayServer:
    """One gateway behind any number of ports; `routes` are others' on the same ports."""

    def __init__(
        self, gateway: Gateway, faults: Faults, routes: Sequence[web.RouteDef] = ()
    ) -> None:
        self._gateway = gateway
        self._faults = faults
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.add_routes(routes)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=0.5
        )
        self._listening: list[asyncio.Server] = []

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Open a port, https with a `context`, and return it. Raises ListenError."""
        if self._runner.server is None:
            await self._runner.setup()
        try:
            server = await asyncio.get_running_loop().create_server(
                self._accept, host, port, ssl=context
            )
        except OSError as error:
            name = "https" if context else "http"
            raise ListenError(
                f"{name} cannot listen on {host}:{port}: {error.strerror}; "
                f"choose another with --{name}-port (0 for any free one)"
            ) from error
        self._listening.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        for server in self._listening:
            server.close()
        await self._runner.cleanup()

    def _accept(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= MAX_CONNECTIONS:
            _log.warning("http: refused, %d connections are open", MAX_CONNECTIONS)
            return _HangUp()
        return server()

    async def _serve(self, http: web.Request) -> web.StreamResponse:
        request_id = str(uuid.uuid4())
        status, device = 200, None
        try:
            request = await _read(http)
            device = sender(request.body)
            if self._faults.armed:
                await self._misbehave(device)
            found = await self._gateway.answer(request, "https" if http.secure else "http")
        except Refused as refused:
            status = _REFUSED_STATUS
            found = {"Error": {"Code": refused.code, "Message": str(refused)}}
        except _Broken as broken:
            status = broken.status
            found = {"Error": {"Code": "InternalError", "Message": "a fault asked for it"}}
        except web.HTTPException as error:
            status = error.status
            code = "RequestSizeLimitExceeded" if status == 413 else "InternalError"
            found = {"Error": {"Code": code, "Message": error.reason}}
        except StoreError as error:
            _log.error("%s", error)
            status, found = 500, _internal_error()
        except Exception:
            _log.exception("the HTTP gateway failed on %s", http.path)
            status, found = 500, _internal_error()
        response = web.json_response(
            {"Response": {**found, "RequestId": request_id}}, status=status
        )
        if self._faults.armed:
            return await self._cut(http, response, device)
        return response

    async def _misbehave(self, device: str | None) -> None:
        """Faults that strike before the request is looked at. Raises Refused or _Broken."""
        delay_ms = self._faults.delay_ms("http_late", device)
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        refusal = self._faults.take("http_refuse", device)
        if refusal is not None:
            raise Refused(refusal["code"], "a fault asked for it")
        broken = self._faults.take("http_status", device)
        if broken is not None:
            raise _Broken(broken["status"])

    async def _cut(
        self, http: web.Request, response: web.Response, device: str | None
    ) -> web.StreamResponse:
        """The response, or a part of its body where a fault asks for that."""
        cut = self._faults.take("http_cut", device)
        if cut is None or http.transport is None:
            return response
        body = response.body if isinstance(response.body, bytes) else b""
        partial = web.StreamResponse(status=response.status, headers=response.headers)
        partial.content_length = len(body)
        await partial.prepare(http)
        await partial.write(body[: cut["bytes"]])
        http.transport.close()
        return partial


async def _read(http: web.Request) -> Request:
    """The request with its whole body. Raises Refused or HTTPException."""
    if http.method != "POST":
        raise Refused("UnsupportedProtocol", "the gateway takes POST only")
    if http.content_type != "application/json":
        raise Refused("UnsupportedProtocol", "the gateway takes Content-Type: application/json")
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await http.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return Request(http.path, http.host, http.headers, body)


class _Broken(Exception):
    """A status that a fault asks for."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _HangUp(asyncio.Protocol):
    """Who comes when there are too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _internal_error() -> dict[str, Any]:
    return {"Error": {"Code": "InternalError", "Message": "the hub failed; its log says how"}}
