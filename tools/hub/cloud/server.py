"""The API's HTTPS port: one path, a signed request, an answer in `Response`."""

import asyncio
import json
import logging
import ssl
import uuid
from typing import Any

from aiohttp import web

from tools.hub import events
from tools.hub.clock import HubClock
from tools.hub.cloud.actions import VERSIONS, Actions
from tools.hub.cloud.errors import CloudError, refusal_of
from tools.hub.cloud.parameters import Parameters
from tools.hub.cloud.signature import FindKey, HttpRequest, check
from tools.hub.events import Records
from tools.hub.files import FileError
from tools.hub.registry import RegistryError
from tools.hub.store import Store
from tools.hub.transport.listener import ListenError

MAX_BODY_BYTES = 256 * 1024
MAX_CALLS = 100
MAX_CONNECTIONS = 200
# From a connection to its handshake, from there to a request's head, and from there to its body.
READ_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 60.0
_log = logging.getLogger("hub")


class CloudServer:
    """Every answer has status 200, also a refusal: so do the cloud's."""

    def __init__(
        self,
        actions: Actions,
        find_key: FindKey,
        clock: HubClock,
        records: Records,
        store: Store,
    ) -> None:
        self._actions = actions
        self._find_key = find_key
        self._clock = clock
        self._records = records
        self._store = store
        self._calls = 0
        # Connections on which no request came yet: aiohttp waits for the first one for ever.
        self._silent: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}
        self._listening: asyncio.Server | None = None
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=1
        )

    async def start(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Open the port and return it. Raises ListenError."""
        await self._runner.setup()
        try:
            self._listening = await asyncio.get_running_loop().create_server(
                self._accept, host, port, ssl=context, ssl_handshake_timeout=READ_TIMEOUT_S
            )
        except OSError as error:
            await self._runner.cleanup()
            raise ListenError(
                f"the cloud API cannot listen on {host}:{port}: {error.strerror}; "
                "choose another with --cloud-port"
            ) from error
        return int(self._listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for silence in self._silent.values():
            silence.cancel()
        self._silent.clear()
        await self._runner.cleanup()

    def _accept(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or len(server.connections) >= MAX_CONNECTIONS:
            _log.warning("cloud API: refused, %d connections are open", MAX_CONNECTIONS)
            return _HangUp()
        connection = server()
        loop = asyncio.get_running_loop()
        self._silent[connection] = loop.call_later(
            2 * READ_TIMEOUT_S, self._end_silent, connection
        )
        return connection

    def _end_silent(self, connection: web.RequestHandler) -> None:
        del self._silent[connection]
        connection.force_close()

    async def _answer(self, request: web.Request) -> web.Response:
        silence = self._silent.pop(request.protocol, None)
        if silence is not None:
            silence.cancel()
        request_id = str(uuid.uuid4())
        # As it came: from anybody, and any bytes.
        action = request.headers.get("X-TC-Action", "").encode("ascii", "replace").decode()
        try:
            answer = await self._perform(request, request_id)
            # What an answer tells is committed before it leaves.
            self._store.flush()
        except RegistryError as error:
            answer = self._refused(refusal_of(error), request_id, action)
        except CloudError as error:
            answer = self._refused(error, request_id, action)
        except (web.HTTPRequestEntityTooLarge, TimeoutError) as error:
            answer = self._refused(_unread(error), request_id, action)
        except Exception as error:
            _log.exception("the cloud API failed on %s", action[:80])
            told = str(error) if isinstance(error, FileError) else "the hub's log says how"
            answer = self._refused(CloudError("InternalError", told), request_id, action)
        content = json.dumps({"Response": answer | {"RequestId": request_id}})
        # Exactly so: to a type with a charset the client looks for no error.
        headers = {"Content-Type": "application/json"}
        return web.Response(body=content.encode(), headers=headers)

    async def _perform(self, request: web.Request, request_id: str) -> dict[str, Any]:
        if request.path != "/" or request.method not in ("GET", "POST"):
            raise CloudError("InvalidRequest", "requests are GET or POST on the path /")
        if self._calls >= MAX_CALLS:
            raise CloudError("RequestLimitExceeded", f"{MAX_CALLS} requests are at work already")
        self._calls += 1
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                body = await request.read()
            signed = check(
                HttpRequest(
                    request.method, request.host, _raw_query(request), request.headers, body
                ),
                self._find_key,
                self._clock.now_s(),
            )
            if signed.version not in VERSIONS:
                raise CloudError(
                    "NoSuchVersion",
                    f"the hub knows the versions {' and '.join(VERSIONS)} of iotcloud",
                )
            action = self._actions.get(signed.action)
            if action is None or signed.version not in action.versions:
                raise CloudError(
                    "InvalidAction",
                    f"the hub has no {signed.action[:80]} in version {signed.version}; "
                    "tools/hub/README.md lists what it has",
                )
            if signed.fields is None:
                parameters = Parameters.from_json(body, signed.version)
            else:
                parameters = Parameters.from_fields(signed.fields, signed.version)
            answer = await action.handler(parameters)
        finally:
            self._calls -= 1
        self._records.event(
            events.CLOUD_API, None, action=signed.action, request_id=request_id, result="ok"
        )
        return answer

    def _refused(self, error: CloudError, request_id: str, action: str) -> dict[str, Any]:
        self._records.event(
            events.CLOUD_API,
            None,
            action=action[:80],
            request_id=request_id,
            result=error.code,
            reason=str(error),
        )
        return {"Error": {"Code": error.code, "Message": str(error)}}


class _HangUp(asyncio.Protocol):
    """Who comes when there are too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _raw_query(request: web.Request) -> str:
    return request.raw_path.partition("?")[2]


def _unread(error: Exception) -> CloudError:
    if isinstance(error, TimeoutError):
        return CloudError("InvalidRequest", f"the body took over {READ_TIMEOUT_S:g} s")
    return CloudError("RequestSizeLimitExceeded", f"a request has at most {MAX_BODY_BYTES} bytes")
