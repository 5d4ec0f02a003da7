"""Calls of the application that a device answers (document "RRPC 通信", PROTOCOL.md 10)."""

import asyncio
import secrets
from typing import NamedTuple

from tools.hub.broker.encoder import publish_bytes
from tools.hub.broker.session import DROPPED
from tools.hub.identity import Identity
from tools.hub.registry import RegistryError
from tools.hub.services.context import ServiceContext

MAX_WAITING_CALLS = 1000
# Of decimal digits, as few as leave no two calls the same id.
_PROCESS_ID_DIGITS = 15


class RrpcAnswer(NamedTuple):
    """What a device answered to the call with this process id."""

    process_id: str
    payload: bytes


class Rrpc:
    """The calls that wait, by device and process id. A hub that stops forgets them."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._waiting: dict[tuple[Identity, str], asyncio.Future[bytes]] = {}

    async def call(self, device: Identity, payload: bytes) -> RrpcAnswer:
        """Call a device and wait for its answer, `config.rrpc_timeout_s` at most.

        Raises RegistryError: not_found; offline, also for one that did not subscribe to its
        calls; too_large; limit; timeout.
        """
        context = self._context
        context.registry.device(*device)
        process_id = self._free_process_id(device)
        topic = f"$rrpc/rxd/{device.path}/{process_id}"
        most = context.config.max_packet_bytes
        if publish_bytes(topic, payload, 0) > most:
            raise RegistryError("too_large", f"the packet would be over {most} bytes")
        if not context.presence.is_online(device):
            raise RegistryError("offline", f"{device.path} is not online")
        if len(self._waiting) >= MAX_WAITING_CALLS:
            raise RegistryError("limit", f"{MAX_WAITING_CALLS} calls wait already")
        answer = asyncio.get_running_loop().create_future()
        self._waiting[device, process_id] = answer
        try:
            # At most once: what is sent again after the caller gave up would do harm.
            outcome = context.send(device, topic, payload, 0)
            if outcome.state == DROPPED:
                raise RegistryError("offline", f"the call cannot be sent: {outcome.reason}")
            async with asyncio.timeout(context.config.rrpc_timeout_s):
                return RrpcAnswer(process_id, await answer)
        except TimeoutError:
            context.record(device, topic, "call not answered in time")
            raise RegistryError(
                "timeout", f"no answer within {context.config.rrpc_timeout_s:g} s"
            ) from None
        finally:
            del self._waiting[device, process_id]

    def handle(self, device: Identity, topic: str, payload: bytes) -> None:
        """A device's answer; its topic ends with the process id."""
        answer = self._waiting.get((device, topic.rpartition("/")[2]))
        if answer is None or answer.done():
            self._context.record(device, topic, "refused", reason="no call waits for this answer")
        else:
            answer.set_result(payload)

    def _free_process_id(self, device: Identity) -> str:
        while True:
            process_id = f"{secrets.randbelow(10**_PROCESS_ID_DIGITS):0{_PROCESS_ID_DIGITS}}"
            if (device, process_id) not in self._waiting:
                return process_id
