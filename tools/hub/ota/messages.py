"""`$ota`: what devices report of their versions and of how far an update is."""

from tools.hub import events
from tools.hub.identity import Identity
from tools.hub.ota.library import MAX_VERSION_CHARS
from tools.hub.ota.updates import REPORTED, Update, Updates
from tools.hub.services.context import ServiceContext
from tools.hub.services.messages import Json, encode, is_text, read_object

MAX_RESULT_MSG_CHARS = 256


class OtaMessages:
    """Answers `report_version`; `report_progress` has no answer."""

    def __init__(self, context: ServiceContext, updates: Updates) -> None:
        self._context = context
        self._updates = updates

    def handle(self, device: Identity, topic: str, payload: bytes) -> None:
        message = read_object(payload)
        try:
            if message is None:
                raise _NotTaken("not a JSON object")
            report = message.get("report")
            if not isinstance(report, dict):
                raise _NotTaken("it has no report")
            version = report.get("version")
            if not is_text(version) or not 1 <= len(version) <= MAX_VERSION_CHARS:
                raise _NotTaken(f"a version is 1 to {MAX_VERSION_CHARS} characters")
            if message.get("type") == "report_version":
                self._take_version(device, version)
            elif message.get("type") == "report_progress":
                self._take_progress(device, version, report.get("progress"))
            else:
                raise _NotTaken("the type is neither report_version nor report_progress")
        except _NotTaken as error:
            self._context.record(device, topic, "refused", reason=str(error))

    def _take_version(self, device: Identity, version: str) -> None:
        self._context.records.event(events.OTA, device.path, action="runs", version=version)
        # The documents have no answer; both of the vendor's SDKs know this one.
        answer: Json = {
            "result_code": 0,
            "result_msg": "success",
            "type": "report_version_rsp",
            "version": version,
        }
        self._context.answer(device, f"$ota/update/{device.path}", encode(answer))
        self._updates.runs(device, version)

    def _take_progress(self, device: Identity, version: str, progress: object) -> None:
        if not isinstance(progress, dict):
            raise _NotTaken("it has no progress")
        state = progress.get("state")
        if state not in REPORTED:
            raise _NotTaken(f"a state is one of {', '.join(REPORTED)}")
        message = progress.get("result_msg", "")
        if not is_text(message) or len(message) > MAX_RESULT_MSG_CHARS:
            raise _NotTaken(f"a result_msg is text of at most {MAX_RESULT_MSG_CHARS} characters")
        percent = _number(progress.get("percent", "0"), 0, 100, "percent")
        if state != "downloading":
            percent = 100 if state != "fail" else 0
        code = _number(progress.get("result_code", "0"), -5, 0, "result_code")
        self._context.records.event(
            events.OTA, device.path, action=state, version=version, percent=percent,
            result_code=code, result_msg=message,
        )  # fmt: skip
        update = Update(device, version, state, percent, code, message)
        if not self._updates.reported(device, version, update):
            raise _NotTaken(f"version {version} is not rolled out to this device")


class _NotTaken(Exception):
    """A message that is not what the documents say."""


def _number(value: object, least: int, most: int, name: str) -> int:
    """The documents show numbers as text."""
    if isinstance(value, str) and len(value) <= 4 and value.removeprefix("-").isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _NotTaken(f"{name}: {least} to {most}, as text")
    return value
