"""Opens the API's port on the loopback interface and guards what comes in."""

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from tools.hub.address import Address
from tools.hub.api import calls, devices, messages, operations, registration, shadows, topology
from tools.hub.api import iotmq as iotmq_routes
from tools.hub.api import rules as rule_routes
from tools.hub.api import updates as update_routes
from tools.hub.api.errors import ApiError, error_response
from tools.hub.authority import Authority
from tools.hub.broker.broker import Broker
from tools.hub.config import LOOPBACK
from tools.hub.faults import FaultError
from tools.hub.files import FileError
from tools.hub.iotmq.service import IotMq
from tools.hub.provisioning import Provisioning
from tools.hub.registry import RegistryError
from tools.hub.rules.service import Rules
from tools.hub.transport.listener import ListenError

MAX_BODY_BYTES = 64 * 1024
_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_log = logging.getLogger("hub")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiServer:
    """One aiohttp application over one broker."""

    def __init__(
        self,
        broker: Broker,
        provisioning: Provisioning,
        address: Address,
        authority: Authority,
        iotmq: IotMq,
        rules: Rules,
    ) -> None:
        self._port = broker.context.config.api_port
        application = web.Application(
            middlewares=[_answer_errors, _guard], client_max_size=MAX_BODY_BYTES
        )
        for routes in (
            devices.routes(broker, provisioning),
            messages.routes(broker),
            operations.routes(broker, address, authority),
            iotmq_routes.routes(iotmq),
            registration.routes(broker.context.registry),
            shadows.routes(broker.services.shadows),
            topology.routes(broker),
            calls.routes(broker.services),
            rule_routes.routes(rules),
            update_routes.routes(broker),
        ):
            application.add_routes(routes)
        # A `/watch` that does not end by itself is cut after a second.
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)

    async def start(self) -> int:
        """Open the port and return it. Raises ListenError."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, LOOPBACK, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ListenError(
                f"the API cannot listen on {LOOPBACK}:{self._port}: {error.strerror}; "
                "choose another with --api-port (0 for any free one)"
            ) from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._runner.cleanup()


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Refuse what a web page elsewhere could send: another host's name, a body not JSON."""
    name = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    if name.lower() not in _LOOPBACK_NAMES:
        raise ApiError(403, "forbidden_host", "the API answers to the loopback host only")
    if request.method == "POST" and request.content_type != "application/json":
        raise ApiError(415, "not_json", "send a JSON object with Content-Type: application/json")
    return await handler(request)


@web.middleware
async def _answer_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error_response(error.status, error.code, str(error))
    except RegistryError as error:
        return error_response(_STATUS[error.code], error.code, str(error))
    except FileError as error:
        return error_response(500, "files", str(error))
    except FaultError as error:
        return error_response(400, "invalid", str(error))
    except web.HTTPException as error:
        return error_response(error.status, "http", error.reason)
    except Exception:
        _log.exception("the API failed on %s %s", request.method, request.path)
        return error_response(500, "internal", "the hub failed; its log says how")


_STATUS = {
    "invalid": 400,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "limit": 409,
    "offline": 409,
    "timeout": 504,
}
