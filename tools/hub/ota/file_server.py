"""Serves firmware over HTTP to the device that an address was made for; misbehaves on request."""

import asyncio
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tools.hub import events
from tools.hub.events import Records
from tools.hub.faults import Faults
from tools.hub.identity import Identity, is_device_name, is_product_id
from tools.hub.ota.library import Firmware
from tools.hub.ota.links import PATH
from tools.hub.ota.ranges import Part, requested
from tools.hub.ota.updates import Updates
from tools.hub.registry import RegistryError

_PIECE_BYTES = 16 * 1024
_SLOW_SLICE_S = 0.05


def file_routes(updates: Updates, faults: Faults, records: Records) -> list[web.RouteDef]:
    """The route over one hub's firmware."""

    async def serve(request: web.Request) -> web.StreamResponse:
        device = Identity(request.match_info["pid"], request.match_info["dn"])
        return await _Answer(updates, faults, records, request, device).give()

    return [web.get(PATH + "/{pid}/{dn}/{version}", serve)]  # and HEAD


@dataclass(slots=True)
class _Answer:
    updates: Updates
    faults: Faults
    records: Records
    request: web.Request
    device: Identity

    async def give(self) -> web.StreamResponse:
        status = self._fault("ota_status")
        if status is not None:
            return self._refused(status["status"], "a fault asked for it")
        if not is_product_id(self.device.product_id) or not is_device_name(
            self.device.device_name
        ):
            return web.Response(status=404, text="no such file\n")
        try:
            firmware = self.updates.library.find(
                self.device.product_id, self.request.match_info["version"]
            )
        except RegistryError as error:
            return self._refused(404, str(error))
        query = self.request.query
        assert self.updates.links is not None
        fault = self.updates.links.fault(
            self.device, firmware, query.get("expires", ""), query.get("signature", "")
        )
        if fault is not None:
            return self._refused(403, fault)
        return await self._send(firmware)

    async def _send(self, firmware: Firmware) -> web.StreamResponse:
        try:
            content = await asyncio.to_thread(self.updates.library.path(firmware).read_bytes)
        except OSError as error:
            return self._refused(404, f"the file is gone: {error.strerror}")
        etag = f'"{firmware.md5}"'
        headers = self.request.headers
        wanted = headers.get("Range")
        if self._fault("ota_no_range") is not None:
            wanted = None
        part = requested(wanted, headers.get("If-Range"), etag, len(content))
        if part is None:
            beyond = self._refused(416, f"there is no part {wanted}")
            beyond.headers["Content-Range"] = f"bytes */{len(content)}"
            return beyond
        wrong = self._fault("ota_wrong_range")
        if wrong is not None and not part.is_whole:
            first = min(part.first + wrong["shift"], part.last)
            part = Part(max(0, first), part.last, False)
        body = memoryview(content)[part.first : part.last + 1]
        truncated = self._fault("ota_truncate")
        if truncated is not None:
            body = body[: max(0, len(body) - truncated["bytes"])]
        response = web.StreamResponse(
            status=200 if part.is_whole else 206,
            headers={
                "Accept-Ranges": "bytes",
                "Content-Type": "application/octet-stream",
                "ETag": etag,
            },
        )
        if not part.is_whole:
            response.headers["Content-Range"] = f"bytes {part.first}-{part.last}/{len(content)}"
        response.content_length = len(body)
        await response.prepare(self.request)
        sent = 0
        if self.request.method != "HEAD":
            try:
                sent = await self._pass_on(response, body)
            finally:
                self._record(response.status, part, sent)
        return response

    async def _pass_on(self, response: web.StreamResponse, body: memoryview) -> int:
        """Writes the body as far as no fault ends it; how many bytes."""
        cut, stall, slow = (self._fault(f"ota_{name}") for name in ("cut", "stall", "slow"))
        piece, pause_s = _PIECE_BYTES, 0.0
        if slow is not None:
            piece, pause_s = max(1, int(slow["bytes_per_s"] * _SLOW_SLICE_S)), _SLOW_SLICE_S
        limits = [fault["bytes"] for fault in (cut, stall) if fault is not None]
        end = min([len(body), *limits])
        sent = 0
        while sent < end:
            next_piece = body[sent : min(end, sent + piece)]
            await response.write(bytes(next_piece))
            sent += len(next_piece)
            await asyncio.sleep(pause_s)
        if stall is not None and sent == stall["bytes"] < len(body):
            await asyncio.sleep(stall["duration_ms"] / 1000)
        transport = self.request.transport
        if sent < len(body) and transport is not None:
            if sent:
                transport.close()
            else:  # over TLS, closing in order waits for the head, which waits for a body
                transport.abort()
        return sent

    def _fault(self, kind: str) -> dict[str, Any] | None:
        return self.faults.take(kind, self.device.path) if self.faults.armed else None

    def _refused(self, status: int, reason: str) -> web.Response:
        self._record(status, None, 0, reason)
        return web.Response(status=status, text=reason + "\n")

    def _record(self, status: int, part: Part | None, sent: int, reason: str = "") -> None:
        detail: dict[str, Any] = {"status": status, "sent": sent}
        if part is not None:
            detail |= {"first": part.first, "last": part.last}
        if reason:
            detail["reason"] = reason
        self.records.event(events.OTA, self.device.path, action="served", **detail)
