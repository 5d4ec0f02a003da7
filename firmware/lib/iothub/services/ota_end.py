"""How an update ends, for the cloud. Loaded for that and let go of (iothub.loading)."""

import json

from iothub.compat import const
from iothub.services.ota import DONE, FAIL
from iothub.update_codes import NOT_UPDATED, TIMED_OUT

_MAX_REASON_CHARS = const(128)


def tell(ota, version, error):
    """The update of an ota.Ota to `version` failed."""
    ota._say(_end(ota, version, error))


async def finish(ota, version, error=None):
    """BURNING is over: the new version runs, or `error` says why not. Returns when the cloud
    knows. Raises DeadlineError: it will be told, unless the device restarts before."""
    ota.update = None
    ota._enter(FAIL if error else DONE)
    await ota._publish(ota._topic, json.dumps(_end(ota, version, error)).encode(), 1)
    if ota.version is not None:
        ota.report_version()  # what was wanted meanwhile comes again


def _end(ota, version, error):
    if error is None:
        return ota._progress(version, "done")
    code = getattr(error, "code", NOT_UPDATED)
    if not NOT_UPDATED <= code <= TIMED_OUT:
        code = NOT_UPDATED
    reason = getattr(error, "reason", None)
    if not reason:
        reason = ("%s %s" % (type(error).__name__, error)).strip()
    # The documents' own word for the first; the rest is free text.
    text = "time_out" if code == TIMED_OUT else reason[:_MAX_REASON_CHARS]
    return ota._progress(version, "fail", code, text)
