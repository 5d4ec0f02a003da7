"""Updates from the cloud (OTA): documents "设备固件升级" and "子设备固件升级", PROTOCOL section 7.
Pure; see service.py. One for the device, and one for each sub-device that a gateway updates:

    IDLE, DONE, FAIL --update_firmware--> DOWNLOADING
    DOWNLOADING --the file is here and right--> BURNING --the new version runs--> DONE
    DOWNLOADING, BURNING --it failed--> FAIL
    DOWNLOADING --an update_firmware for something else--> IDLE, and DOWNLOADING again

Between BURNING and DONE or FAIL there is a restart. This is what listens; the code that takes a
message (ota_messages.py), that of an update (ota_update.py) and of its end (ota_end.py) is loaded
when there is one.
"""

import json

from iothub.compat import const
from iothub.errors import IoTHubError
from iothub.loading import for_now
from iothub.services.service import Service

IDLE = const(0)
DOWNLOADING = const(1)
BURNING = const(2)
DONE = const(3)
FAIL = const(4)


class Ota(Service):
    """`version` (str) is the one that runs; it is reported at every connection.
    `carry_out(update)`, a coroutine function, downloads and installs an ota_update.Update; it says
    progress() and burning() of it, and what it raises is the failure. It is cancelled when the
    update is given up. `publish` is the driver's, or for a sub-device that sub-device's. `urls`
    counts the messages that brought one; `update` is there from DOWNLOADING until it is done, has
    failed, or the restart."""

    qos = 1
    state = IDLE
    version = None
    urls = 0

    def __init__(self, driver, identity, carry_out, publish=None):
        super().__init__(driver, identity, b"$ota/report", b"$ota/update")
        self.update = None
        self._carry_out = carry_out
        self._publish = publish or driver.publish

    # What the driver calls

    def connected(self):
        super().connected()
        # A version on trial is reported by finish(): the cloud would take it for done.
        if self.version is not None and self.state != BURNING:
            self.report_version()

    def received(self, topic, payload):
        self._driver.spawn(self._take(payload))  # where the stack is shallow: code is loaded

    async def _take(self, payload):
        try:
            for_now("iothub.services.ota_messages").take(self, payload)
        except Exception as e:  # the next connection brings the message again
            self._driver.report(e)

    # What the application says

    def report_version(self):
        """Tells the version that runs. If it is not the one wanted, the cloud sends
        update_firmware again, with a fresh URL."""
        self._say({"type": "report_version", "report": {"version": self.version}})

    @property
    def percent(self):
        return self.update.percent if self.update else 0

    def cancel(self):
        """Gives up a download. The cloud is told that it failed."""
        if self.state == DOWNLOADING:
            self.update.cancel()

    # What an update does

    def _enter(self, state):
        self.state = state
        self._driver.wake()

    def _progress(self, version, state, code=0, text=""):
        progress = {"state": state, "result_code": str(code), "result_msg": text}
        return {"type": "report_progress", "report": {"progress": progress, "version": version}}

    def _say(self, message):
        self._driver.spawn(self._deliver(json.dumps(message).encode()))

    async def _deliver(self, payload):
        try:
            await self._publish(self._topic, payload, 1)
        except IoTHubError as e:
            self._driver.report(e)
