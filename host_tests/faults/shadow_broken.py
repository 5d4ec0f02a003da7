"""Shadows with a fault each, in the hub or in the device, to try what tries them."""

from typing import Any

from iothub.services.shadow import Shadow as DeviceShadow

from host_tests.faults.broken_code import with_broken_code
from host_tests.faults.shadow_world import Subject
from tools.hub.identity import Identity
from tools.hub.services.messages import Json
from tools.hub.services.shadow_document import ShadowDocument
from tools.hub.services.shadows import Shadows


class AnyVersion(Shadows):
    """Takes an update whatever version it is based on."""

    def update(self, device: Identity, by: str, state: Json, version: Any = 0, overwrite=False):
        if by == "device":
            version = 0
        return super().update(device, by, state, version, overwrite)


class SilentWishes(Shadows):
    """Tells no device what is desired of it."""

    def _send_delta(self, device: Identity, changes: Json, document: ShadowDocument) -> None:
        pass


class VersionsBeginAnew(Shadows):
    """Forgets the version of a shadow that is deleted."""

    def delete(self, device: Identity) -> ShadowDocument:
        super().delete(device)
        document = ShadowDocument(0, self._context.clock.now_ms(), exists=False)
        self._keep(device, document)
        return document


class KeepsNothing(Shadows):
    """Has lost all when the hub starts again."""

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self._documents.clear()


class OneVersionForTwo(Shadows):
    """What the application changes makes no new version."""

    def _keep(self, device: Identity, document: ShadowDocument) -> None:
        before = self.latest(device)
        if document.desired != before.desired and document.reported == before.reported:
            document.version = max(1, before.version)
        super()._keep(device, document)


def gives_up(exchange: Any) -> None:
    """Drops an update that meets a conflict."""
    real = exchange._update_answered

    def update_answered(shadow, request, result, payload):
        real(shadow, request, result, payload)
        if result and shadow._updates and shadow._updates[0] is request:
            shadow._updates.pop(0)

    exchange._update_answered = update_answered


def clears_all(exchange: Any) -> None:
    """Clears whatever is desired, also what changed since it was applied."""

    def clearable(shadow, update):
        return list(shadow.desired) if update.clears else []

    exchange._clearable = clearable


def fetches_nothing(exchange: Any) -> None:
    """Takes every delta for the next one."""
    real = exchange._delta

    def delta(shadow, payload):
        shadow.version = payload["version"] - 1
        real(shadow, payload)

    exchange._delta = delta


SUBJECTS = {
    "any version": Subject(hub=AnyVersion),
    "silent wishes": Subject(hub=SilentWishes),
    "versions begin anew": Subject(hub=VersionsBeginAnew),
    "keeps nothing": Subject(hub=KeepsNothing),
    "one version for two": Subject(hub=OneVersionForTwo),
    "gives up": Subject(device=with_broken_code(DeviceShadow, gives_up)),
    "clears all": Subject(device=with_broken_code(DeviceShadow, clears_all)),
    "fetches nothing": Subject(device=with_broken_code(DeviceShadow, fetches_nothing)),
}
