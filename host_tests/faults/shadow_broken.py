"""Shadows with a fault each, in the hub or in the device, to try what tries them."""

from typing import Any

from iothub.services.shadow import Shadow as DeviceShadow

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


class GivesUp(DeviceShadow):
    """Drops an update that meets a conflict."""

    def _update_answered(self, request, result, payload):
        super()._update_answered(request, result, payload)
        if result and self._updates and self._updates[0] is request:
            self._updates.pop(0)


class ClearsAll(DeviceShadow):
    """Clears whatever is desired, also what changed since it was applied."""

    def _clearable(self, update):
        return list(self.desired) if update.clears else []


class FetchesNothing(DeviceShadow):
    """Takes every delta for the next one."""

    def _delta(self, payload):
        self.version = payload["version"] - 1
        super()._delta(payload)


SUBJECTS = {
    "any version": Subject(hub=AnyVersion),
    "silent wishes": Subject(hub=SilentWishes),
    "versions begin anew": Subject(hub=VersionsBeginAnew),
    "keeps nothing": Subject(hub=KeepsNothing),
    "one version for two": Subject(hub=OneVersionForTwo),
    "gives up": Subject(device=GivesUp),
    "clears all": Subject(device=ClearsAll),
    "fetches nothing": Subject(device=FetchesNothing),
}
