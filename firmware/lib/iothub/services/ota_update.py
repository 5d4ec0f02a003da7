"""One update, and what the cloud is told of it. Loaded for as long as there is one
(iothub.loading)."""

import json

from iothub.errors import IoTHubError
from iothub.loading import for_now
from iothub.services.ota import BURNING, DOWNLOADING, FAIL
from iothub.timeouts import OTA_PROGRESS_MS
from iothub.update_codes import NOT_UPDATED


class Update:
    """Of `ota` (ota.Ota) to `version` (str), by the file at `url` (str) with this `md5` (16
    bytes) and `size` (bytes)."""

    def __init__(self, ota, version, url, md5, size):
        self.version = version
        self.url = url
        self.md5 = md5
        self.size = size
        self.task = None
        self._ota = ota
        self._fetched = 0
        self._told_percent = -1
        self._silent_ms = 0

    def begin(self):
        """Has it carried out."""
        ota = self._ota
        ota.update = self
        ota._enter(DOWNLOADING)
        self.task = ota._driver.spawn(self._run())

    async def _run(self):
        try:
            await self._ota._carry_out(self)
        except Exception as e:
            if self._ota.update is self:
                self._failed(e)

    def cancel(self):
        self.task.cancel()
        self._failed(IoTHubError("cancelled on the device", "update", NOT_UPDATED))

    def _failed(self, error):
        ota = self._ota
        ota.update = None
        ota._enter(FAIL)
        ota._driver.report(error)
        for_now("iothub.services.ota_end").tell(ota, self.version, error)

    # What carry_out() says

    @property
    def percent(self):
        return self._fetched * 100 // self.size

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
        self._fetched = self.size
        self._tell_percent()
        self._ota._enter(BURNING)
        self.tell("burning")

    def tell(self, state):
        self._ota._say(self._ota._progress(self.version, state))

    def _tell_percent(self):
        ota = self._ota
        message = ota._progress(self.version, "downloading")
        percent = self.percent
        message["report"]["progress"]["percent"] = str(percent)
        if ota._driver.send(ota._topic, json.dumps(message).encode()):
            self._told_percent = percent
        self._silent_ms = 0
