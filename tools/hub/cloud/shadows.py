"""Actions on device shadows. Documents travel as JSON in a text."""

import json
from typing import Any

from tools.hub.cloud.actions import V2021, Action, Actions, named_device
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import Parameters
from tools.hub.registry import Registry
from tools.hub.services.shadow_document import ShadowDocument
from tools.hub.services.shadows import (
    BAD_PARAMETER,
    MISSING,
    TOO_LARGE,
    VERSION_MISMATCH,
    ShadowRefused,
    Shadows,
)

# The vendor's, for what an application sends at once.
MAX_STATE_BYTES = 8 * 1024
_CODES = {
    MISSING: "ResourceNotFound.DeviceShadowNotExist",
    BAD_PARAMETER: "InvalidParameterValue.InvalidJSON",
    VERSION_MISMATCH: "FailedOperation.UpdateVersionNotMatch",
    TOO_LARGE: "InvalidParameterValue.JSONSizeExceedLimit",
}


class DeviceShadows:
    """Over the hub's shadows."""

    def __init__(self, registry: Registry, shadows: Shadows) -> None:
        self._registry = registry
        self._shadows = shadows

    def actions(self) -> Actions:
        return {
            "DescribeDeviceShadow": Action(self._describe),
            "UpdateDeviceShadow": Action(self._update),
            "DeleteDeviceShadow": Action(self._delete, (V2021,)),
        }

    async def _describe(self, parameters: Parameters) -> dict[str, Any]:
        device = named_device(self._registry, parameters).identity
        try:
            return {"Data": _text(self._shadows.get(device))}
        except ShadowRefused as refused:
            raise _refusal(refused) from None

    async def _update(self, parameters: Parameters) -> dict[str, Any]:
        device = named_device(self._registry, parameters).identity
        if parameters.text("Prefix", "$shadow") != "$shadow":
            raise CloudError("InvalidParameterValue.PrefixInvalid", "the hub has $shadow only")
        desired = _desired(parameters.text("State"))
        version = parameters.integer("ShadowVersion", 0)
        try:
            return {"Data": _text(self._shadows.update_desired(device, desired, version))}
        except ShadowRefused as refused:
            raise _refusal(refused) from None

    async def _delete(self, parameters: Parameters) -> dict[str, Any]:
        device = named_device(self._registry, parameters).identity
        try:
            self._shadows.delete(device)
        except ShadowRefused as refused:
            raise _refusal(refused) from None
        return {}


def _desired(state: str) -> dict[str, Any] | None:
    """What `{"desired": ...}` desires; None to empty it."""
    if len(state.encode()) > MAX_STATE_BYTES:
        raise CloudError(
            "InvalidParameterValue.JSONSizeExceedLimit",
            f"State has at most {MAX_STATE_BYTES} bytes",
        )
    try:
        parsed = json.loads(state)
    except (ValueError, RecursionError):
        raise CloudError("InvalidParameterValue.InvalidJSON", "State is not JSON") from None
    if not isinstance(parsed, dict) or list(parsed) != ["desired"]:
        raise CloudError(
            "InvalidParameterValue.JSONHasInvalidNode",
            'State is {"desired": ...} and nothing else',
        )
    desired = parsed["desired"]
    if not isinstance(desired, dict | None):
        raise CloudError("InvalidParameterValue.InvalidJSON", "desired is an object or null")
    return desired


def _text(document: ShadowDocument) -> str:
    shown = {
        "state": document.state(with_delta=True),
        "metadata": document.metadata,
        "timestamp": document.updated_ms,
        "version": document.version,
    }
    return json.dumps(shown, ensure_ascii=False)


def _refusal(refused: ShadowRefused) -> CloudError:
    return CloudError(_CODES.get(refused.result, "FailedOperation"), str(refused))
