"""All device shadows, and what the application does with them (document "设备影子数据流").

Every change is an update, which makes the version one higher.
"""

import json
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

from tools.hub.identity import Identity
from tools.hub.registry import RegistryError
from tools.hub.services.context import ServiceContext
from tools.hub.services.messages import Json, encode, is_integer
from tools.hub.services.shadow_document import (
    MAX_STATE_BYTES,
    PARTS,
    BadChanges,
    ShadowDocument,
    TooLarge,
    check_changes,
)

# The documents' codes. 5007 to 5010 and 5100 are never sent but by the fault `shadow_refuse`.
OK = 0
INCOMPLETE = 5000
MISSING = 5001
BAD_PARAMETER = 5004
VERSION_MISMATCH = 5005
TOO_LARGE = 5011
_API_CODES = {MISSING: "not_found", VERSION_MISMATCH: "conflict", TOO_LARGE: "too_large"}
_log = logging.getLogger("hub")


class ShadowRefused(RegistryError):
    """A request for a shadow that is refused; `result` is the documents' code."""

    def __init__(self, result: int, message: str) -> None:
        super().__init__(_API_CODES.get(result, "invalid"), message)
        self.result = result


class ShadowUpdate(NamedTuple):
    """A shadow changed: `by` the device or the application, `state` as it was asked for (None
    for a deletion), and the document that it made."""

    device: Identity
    by: str
    state: Json | None
    document: ShadowDocument


Observer = Callable[[ShadowUpdate], None]


class Shadows:
    """Held in memory, written through to the store."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._documents: dict[str, ShadowDocument] = {}
        # Called after each change; what one raises is logged.
        self.observers: list[Observer] = []
        for device, version, updated_ms, present, parts in context.store.query(
            "SELECT * FROM shadow"
        ):
            document = ShadowDocument(version, updated_ms, bool(present), **json.loads(parts))
            self._documents[device] = document
        context.registry.on_removed.append(self._forget)

    # What the application calls. Each raises ShadowRefused, and RegistryError for no such device.

    def get(self, device: Identity) -> ShadowDocument:
        """A device's document; that of a new device is blank, of version 0."""
        self._context.registry.device(*device)
        document = self.latest(device)
        if not document.exists:
            raise ShadowRefused(MISSING, "the shadow was deleted, and not made again")
        return document

    def update_desired(
        self, device: Identity, changes: Json | None, version: int = 0
    ) -> ShadowDocument:
        """Merge changes into `desired`, or with None empty it; tells the device if it is online.

        `version` is the one that the changes are based on, 0 for any.
        """
        self._context.registry.device(*device)
        before = self.latest(device)
        document = self.update(device, "application", {"desired": changes}, version)
        self._context.store.flush()
        if self._context.presence.is_online(device):
            if changes is None:
                changes = dict.fromkeys(before.desired)
            self._send_delta(device, changes, document)
        return document

    def delete(self, device: Identity) -> ShadowDocument:
        """Empty a shadow; a get is refused until an update makes it again."""
        document = self.get(device).deleted(self._context.clock.now_ms())
        self._keep(device, document)
        self._context.store.flush()
        self._tell(ShadowUpdate(device, "application", None, document))
        return document

    def _forget(self, device: Identity) -> None:
        """The device itself is removed."""
        self._documents.pop(device.path, None)
        self._context.store.later("DELETE FROM shadow WHERE device = ?", (device.path,))

    # What both sides do.

    def latest(self, device: Identity) -> ShadowDocument:
        """A device's document, also one that was deleted."""
        return self._documents.get(device.path) or ShadowDocument()

    def update(
        self, device: Identity, by: str, state: Json, version: Any = 0, overwrite: bool = False
    ) -> ShadowDocument:
        """Do an update that is based on a version, 0 for any. Raises ShadowRefused."""
        document = self._updated(self.latest(device), state, version, overwrite)
        self._keep(device, document)
        self._tell(ShadowUpdate(device, by, state, document))
        return document

    def _updated(
        self, before: ShadowDocument, state: Json, version: Any, overwrite: bool
    ) -> ShadowDocument:
        if not is_integer(version) or version < 0:
            raise ShadowRefused(BAD_PARAMETER, "version: must be a number, or 0 for any")
        if version not in (0, before.version):
            raise ShadowRefused(
                VERSION_MISMATCH, f"the shadow has version {before.version}, not {version}"
            )
        try:
            for name, changes in state.items():
                if changes is not None:
                    check_changes(changes, name)
            if len(encode(state)) > MAX_STATE_BYTES:
                raise TooLarge(f"changes are at most {MAX_STATE_BYTES} bytes")
            return before.updated(state, self._context.clock.now_ms(), overwrite)
        except BadChanges as error:
            raise ShadowRefused(BAD_PARAMETER, str(error)) from None
        except TooLarge as error:
            raise ShadowRefused(TOO_LARGE, str(error)) from None

    def _keep(self, device: Identity, document: ShadowDocument) -> None:
        self._documents[device.path] = document
        parts = {name: getattr(document, name) for name in (*PARTS, "metadata")}
        row = (device.path, document.version, document.updated_ms, int(document.exists))
        self._context.store.later(
            "INSERT OR REPLACE INTO shadow VALUES (?, ?, ?, ?, ?)", (*row, encode(parts).decode())
        )

    def _tell(self, update: ShadowUpdate) -> None:
        for observer in self.observers:
            try:
                observer(update)
            except Exception:
                _log.exception("telling of a shadow", extra={"device": update.device.path})

    def _send_delta(self, device: Identity, changes: Json, document: ShadowDocument) -> None:
        payload = {
            "state": changes,
            "timestamp": document.updated_ms,
            "version": document.version,
        }
        message = {"payload": payload, "timestamp": document.updated_ms, "type": "delta"}
        self._context.send(device, result_topic(device), encode(message), 1)


def result_topic(device: Identity) -> str:
    return f"$shadow/operation/result/{device.path}"
