"""Updates from the cloud (OTA): documents "设备固件升级" and "子设备固件升级", PROTOCOL section 7.
Pure; see service.py. One for the device, and one for each sub-device that a gateway updates:

    IDLE, DONE, FAIL --update_firmware--> DOWNLOADING
    DOWNLOADING --the file is here and right--> BURNING --the new version runs--> DONE
    DOWNLOADING, BURNING --it failed--> FAIL
    DOWNLOADING --an update_firmware for something else--> IDLE, and DOWNLOADING again

Between BURNING and DONE or FAIL there is a restart. `fetch(job)`, a coroutine function, downloads
and installs; it says progress() and burning(), and what it raises is the failure. It is cancelled
when the download is given up.
"""

import binascii
import json

from iothub.compat import const
from iothub.errors import IoTHubError, ServiceRefused
from iothub.services.service import Service, check_step
from iothub.timeouts import OTA_PROGRESS_MS
from iothub.update_codes import NOT_UPDATED, TIMED_OUT

IDLE = const(0)
DOWNLOADING = const(1)
BURNING = const(2)
DONE = const(3)
FAIL = const(4)
NEXT_STATES = (
    (DOWNLOADING, BURNING),
    (BURNING, FAIL, IDLE),
    (DONE, FAIL),
    (DOWNLOADING,),
    (DOWNLOADING,),
)

_MAX_VERSION_CHARS = const(64)  # the vendor's have 32 at most
_MAX_URL_CHARS = const(2048)
_MAX_FILE_BYTES = const(0x3FFFFFFF)
_MAX_REASON_CHARS = const(128)


class Job:
    """A file to install: `version` and `url` (str), `md5` (16 bytes) and `size` (bytes)."""

    def __init__(self, version, url, md5, size):
        self.version = version
        self.url = url
        self.md5 = md5
        self.size = size

    def is_same_as(self, other):
        return (self.version, self.md5, self.size) == (other.version, other.md5, other.size)


class Ota(Service):
    """`version` (str) is the one that runs; it is reported at every connection. `publish` is the
    driver's, or for a sub-device that sub-device's. `urls` counts the messages that brought one,
    `percent` what of the file is here."""

    qos = 1

    def __init__(self, driver, identity, fetch, publish=None):
        super().__init__(driver, identity, b"$ota/report", b"$ota/update")
        self.state = IDLE
        self.version = None
        self.job = None
        self.urls = 0
        self._fetch = fetch
        self._publish = publish or driver.publish
        self._task = None
        self._fetched = 0
        self._told_percent = -1
        self._silent_ms = 0

    # What the driver calls

    def connected(self):
        super().connected()
        # A version on trial is reported by finish(): the cloud would take it for done.
        if self.version is not None and self.state != BURNING:
            self.report_version()

    def received(self, topic, payload):
        message = self._message(payload)
        if message is None:
            return
        if message["type"] == "update_firmware":
            job = _job(message)
            if job is None:
                self.malformed += 1
            else:
                self._wanted(job)
        elif message["type"] == "report_version_rsp":
            code = message.get("result_code")
            if code:
                code = code if type(code) is int else -1
                self._driver.report(ServiceRefused("version refused (%d)" % code, "ota", code))

    # What the application and fetch() say

    def report_version(self):
        """Tells the version that runs. If it is not the one wanted, the cloud sends
        update_firmware again, with a fresh URL."""
        self._say({"type": "report_version", "report": {"version": self.version}})

    @property
    def percent(self):
        return self._fetched * 100 // self.job.size if self.job else 0

    def progress(self, fetched, elapsed_ms=0):
        """So many bytes of the file are here, so long after the last word of it. The cloud is told
        at once the first time, then once a second at most."""
        self._fetched = fetched
        self._silent_ms += elapsed_ms
        if self._told_percent < 0 or (
            self._silent_ms >= OTA_PROGRESS_MS and self.percent != self._told_percent
        ):
            self._tell_percent()

    def burning(self):
        """The file is here and right, and is installed now."""
        self._fetched = self.job.size
        self._tell_percent()
        self._enter(BURNING)
        self._say(_progress(self.job.version, "burning"))

    def cancel(self):
        """Gives up a download. The cloud is told that it failed."""
        if self.state == DOWNLOADING:
            self._task.cancel()
            self._failed(IoTHubError("cancelled on the device", "update", NOT_UPDATED))

    def restored(self, version):
        """After the restart that followed BURNING: finish() is still to come for this version."""
        self.job = Job(version, "", b"", 1)
        self._enter(BURNING)

    async def finish(self, error=None):
        """BURNING is over: the new version runs, or `error` says why not. Returns when the cloud
        knows. Raises DeadlineError: it will be told, unless the device restarts before."""
        self._enter(FAIL if error else DONE)
        await self._publish(self._topic, json.dumps(self._end(error)).encode(), 1)
        if self.version is not None:
            self.report_version()  # what was wanted meanwhile comes again

    # Inside

    def _wanted(self, job):
        if self.state == BURNING:
            return  # finish() reports the version, and what is still wanted comes again
        self.urls += 1
        if self.state == DOWNLOADING:
            if self.job.is_same_as(job):
                self.job.url = job.url
                self._driver.wake()
                return
            self._task.cancel()
            self._enter(IDLE)
        if job.version == self.version:
            self._say(_progress(job.version, "done"))
            return
        self._enter(DOWNLOADING)
        self.job = job
        self._fetched = 0
        self._told_percent = -1
        self._task = self._driver.spawn(self._run(job))

    async def _run(self, job):
        try:
            await self._fetch(job)
        except Exception as e:
            if job is self.job:
                self._failed(e)

    def _failed(self, error):
        self._enter(FAIL)
        self._say(self._end(error))
        self._driver.report(error)

    def _end(self, error):
        version = self.job.version
        if error is None:
            return _progress(version, "done")
        code = getattr(error, "code", NOT_UPDATED)
        if not NOT_UPDATED <= code <= TIMED_OUT:
            code = NOT_UPDATED
        reason = getattr(error, "reason", None)
        if not reason:
            reason = ("%s %s" % (type(error).__name__, error)).strip()
        # The documents' own word for the first; the rest is free text.
        text = "time_out" if code == TIMED_OUT else reason[:_MAX_REASON_CHARS]
        return _progress(version, "fail", code, text)

    def _tell_percent(self):
        message = _progress(self.job.version, "downloading")
        percent = self.percent
        message["report"]["progress"]["percent"] = str(percent)
        if self._driver.send(self._topic, json.dumps(message).encode()):
            self._told_percent = percent
        self._silent_ms = 0

    def _enter(self, state):
        self.state = check_step(NEXT_STATES, self.state, state)
        self._driver.wake()

    def _say(self, message):
        self._driver.spawn(self._deliver(json.dumps(message).encode()))

    async def _deliver(self, payload):
        try:
            await self._publish(self._topic, payload, 1)
        except IoTHubError as e:
            self._driver.report(e)


def _progress(version, state, code=0, text=""):
    progress = {"state": state, "result_code": str(code), "result_msg": text}
    return {"type": "report_progress", "report": {"progress": progress, "version": version}}


def _job(message):
    """The Job of an update_firmware, or None if it is not what the documents say."""
    version = message.get("version")
    url = message.get("url")
    md5 = message.get("md5sum")
    size = message.get("file_size")
    for text, longest in ((version, _MAX_VERSION_CHARS), (url, _MAX_URL_CHARS), (md5, 32)):
        if not isinstance(text, str) or not 0 < len(text) <= longest:
            return None
    if type(size) is not int or not 0 < size <= _MAX_FILE_BYTES:
        return None
    try:
        digest = binascii.unhexlify(md5)
    except ValueError:
        return None
    return Job(version, url, digest, size) if len(digest) == 16 else None
