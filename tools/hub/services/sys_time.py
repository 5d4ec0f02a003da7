"""`$sys` time (PROTOCOL.md 8): a device asks, the hub answers with its clock at both ends."""

import asyncio
import json

from tools.hub import events
from tools.hub.identity import Identity
from tools.hub.services.context import ServiceContext

MAX_REQUEST_BYTES = 512


class SysTime:
    """Answers `{"type":"get","resource":["time"]}` at QoS 0, as the cloud does."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context

    def handle(self, device: Identity, topic: str, payload: bytes) -> None:
        received_ms = self._context.clock.now_ms()
        fault = _request_fault(payload)
        if fault is not None:
            self._context.records.event(
                events.SERVICE, device.path, topic=topic, action="refused", reason=fault
            )
            return
        answer, delay_ms = self._answer(device, received_ms), 0
        faults = self._context.faults
        if faults.armed:
            absurd = faults.take("time_absurd", device.path)
            if absurd is not None:
                answer = absurd["payload"].encode()
            delay_ms = faults.delay_ms("time_late", device.path)
        if delay_ms:
            loop = asyncio.get_running_loop()
            loop.call_later(delay_ms / 1000, self._send, device, answer)
        else:
            self._send(device, answer)

    def _answer(self, device: Identity, received_ms: int) -> bytes:
        offset_ms = 0
        if self._context.faults.armed:
            wrong = self._context.faults.take("time_wrong", device.path)
            offset_ms = wrong["offset_ms"] if wrong else 0
        sent_ms = self._context.clock.now_ms() + offset_ms
        answer = {
            "type": "get",
            "time": sent_ms // 1000,
            "ntptime1": received_ms + offset_ms,
            "ntptime2": sent_ms,
        }
        return json.dumps(answer, separators=(",", ":")).encode()

    def _send(self, device: Identity, answer: bytes) -> None:
        self._context.send(device, f"$sys/operation/result/{device.path}", answer, 0)


def _request_fault(payload: bytes) -> str | None:
    """Why a request is not one for the time, or None."""
    if len(payload) > MAX_REQUEST_BYTES:
        return f"a request is at most {MAX_REQUEST_BYTES} bytes"
    try:
        request = json.loads(payload)
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(request, dict):
        return "not a JSON object"
    if request.get("type") != "get":
        return 'the type is not "get"'
    resource = request.get("resource")
    if not isinstance(resource, list) or "time" not in resource:
        return 'the resource does not list "time"'
    return None
