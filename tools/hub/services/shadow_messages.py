"""`$shadow`: what devices ask of their shadows, and are answered (document "设备影子数据流",
PROTOCOL.md 6)."""

from tools.hub.identity import Identity
from tools.hub.services.context import ServiceContext
from tools.hub.services.messages import (
    MAX_TOKEN_CHARS,
    Json,
    client_token,
    encode,
    read_object,
)
from tools.hub.services.shadow_document import (
    PARTS,
    BadChanges,
    ShadowDocument,
    check_changes,
    only_deletes,
)
from tools.hub.services.shadows import (
    BAD_PARAMETER,
    INCOMPLETE,
    OK,
    VERSION_MISMATCH,
    ShadowRefused,
    Shadows,
    result_topic,
)


class ShadowMessages:
    """Answers `get` and `update`. What is no JSON object cannot be answered, and is recorded."""

    def __init__(self, context: ServiceContext, shadows: Shadows) -> None:
        self._context = context
        self._shadows = shadows

    def handle(self, device: Identity, topic: str, payload: bytes) -> None:
        request = read_object(payload)
        if request is None:
            self._context.record(device, topic, "refused", reason="not a JSON object")
            return
        answer: Json = {"clientToken": "", "payload": {}, "result": OK, "timestamp": 0, "type": ""}
        try:
            answer["type"] = _kind(request)
            answer["clientToken"] = _token(request)
            answer["payload"] = self._do(device, request)
        except ShadowRefused as refused:
            reason = str(refused)
            self._context.record(device, topic, "refused", result=refused.result, reason=reason)
            answer["result"] = refused.result
            if refused.result == VERSION_MISMATCH:
                document = self._shadows.latest(device)
                answer["payload"] = _shown(document, document.state(with_delta=False))
        # In the documents' examples a get is answered in seconds, an update in milliseconds.
        now_ms = self._context.clock.now_ms()
        answer["timestamp"] = now_ms // 1000 if answer["type"] == "get" else now_ms
        self._context.answer(device, result_topic(device), encode(answer))

    def _do(self, device: Identity, request: Json) -> Json:
        """The payload of the answer. Raises ShadowRefused."""
        faults = self._context.faults
        refusal = faults.take("shadow_refuse", device.path) if faults.armed else None
        if refusal is not None:
            code = refusal["code"]
            raise ShadowRefused(code, f"a fault asked for {code}")
        if request["type"] == "get":
            document = self._shadows.get(device)
            return _shown(document, document.state(with_delta=True))
        state = _changes(request)
        overwrite = request.get("overwriteUpdate", False)
        if not isinstance(overwrite, bool):
            raise ShadowRefused(BAD_PARAMETER, "overwriteUpdate: must be true or false")
        version = request.get("version", 0)
        return _shown(self._shadows.update(device, "device", state, version, overwrite), state)


def _kind(request: Json) -> str:
    if "type" not in request:
        raise ShadowRefused(INCOMPLETE, "there is no type")
    kind = request["type"]
    if kind not in ("get", "update"):
        raise ShadowRefused(BAD_PARAMETER, 'the type is neither "get" nor "update"')
    return str(kind)


def _token(request: Json) -> str:
    if request.get("clientToken") is None:
        raise ShadowRefused(INCOMPLETE, "there is no clientToken")
    token = client_token(request)
    if token is None:
        raise ShadowRefused(
            BAD_PARAMETER, f"clientToken: must be a text of at most {MAX_TOKEN_CHARS} characters"
        )
    return token


def _changes(request: Json) -> Json:
    """The state of an update. A device reports, and clears what was desired, nothing else."""
    if "state" not in request:
        raise ShadowRefused(INCOMPLETE, "there is no state")
    state = request["state"]
    if not isinstance(state, dict) or not state or set(state) - set(PARTS):
        raise ShadowRefused(BAD_PARAMETER, "state: must be an object with reported or desired")
    desired = state.get("desired")
    if desired is not None:
        try:
            check_changes(desired, "desired")
        except BadChanges as error:
            raise ShadowRefused(BAD_PARAMETER, str(error)) from None
        if not only_deletes(desired):
            raise ShadowRefused(BAD_PARAMETER, "desired: a device only clears it")
    return state


def _shown(document: ShadowDocument, state: Json) -> Json:
    return {"state": state, "timestamp": document.updated_ms, "version": document.version}
