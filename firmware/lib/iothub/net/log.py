"""Uploads the log: `device.log`. It writes down by itself what happens to the connection, and
which handlers failed.

    device.log.info("%d degrees", celsius)
    asyncio.run(device.log.guard(main()))   # an exception that ends it is uploaded after the reset
"""

import asyncio
import io
import sys
from time import ticks_ms

from iothub.errors import IoTHubError, NotConnected, QueueFull
from iothub.loading import load
from iothub.mqtt.engine import ONLINE_AGAIN
from iothub.net.session import OFFLINE
from iothub.services import log as service
from iothub.store.journal import Journal
from iothub.timeouts import LOG_FLUSH_MS, LOG_RETRY_MS

_JOURNAL = "crash"


class DeviceLog(service.Log):
    """`failures` counts the uploads that failed; `last_error` says how."""

    def __init__(self, device):
        self._device = device
        super().__init__(
            device.identity, self._now, _secrets(device.config), Journal(device.storage, _JOURNAL)
        )
        self.failures = 0
        self.last_error = None
        self._turn = asyncio.Lock()
        self._stepped_aside = False
        self._topic = device.identity.system_topic(service.REQUEST_FAMILY)
        device.listeners.append(self._event)
        answers = device.identity.system_topic(service.ANSWER_FAMILY)
        device.session.register(answers, self.answer, 0)
        self._ask()
        self._uploader = asyncio.create_task(self._upload_for_ever())

    async def guard(self, application):
        """Awaits a coroutine; an exception that ends it is kept over the reset, and raised."""
        try:
            return await application
        except Exception as e:
            self.exception(e, True)
            raise

    def exception(self, error, survives=False):
        """An exception with its traceback, as errors; see Log.traceback()."""
        text = io.StringIO()
        sys.print_exception(error, text)
        self.traceback(text.getvalue(), survives)

    async def flush(self):
        """Uploads all there is, now. Raises ServiceRefused, LinkError and its kinds."""
        await self._turn.acquire()
        gateway = None
        try:
            # Loaded for as long as it takes.
            gateway = load("iothub.net.signed").of_device(self._device)
            while self.wants_to_leave(self._device.is_online):
                await gateway.post(service.PATH, self.batch(), service.PHASE)
                self.sent()
        finally:
            self._turn.release()
            if gateway is not None:
                gateway.release()

    async def _upload_for_ever(self):
        # Where MQTT has to step aside for it, seldom.
        pause_ms = LOG_RETRY_MS if self._device.config["http"].get("alone") else LOG_FLUSH_MS
        while True:
            await asyncio.sleep_ms(pause_ms)
            if not self.wants_to_leave(self._device.is_online):
                continue
            try:
                await self.flush()
            except (IoTHubError, MemoryError) as e:
                # Not a line of the log: it would only fill it while it cannot leave.
                self.failures += 1
                self.last_error = e
                await asyncio.sleep_ms(LOG_RETRY_MS)

    def _now(self):
        now_s = self._device.clock.now_s()
        return str(now_s) if now_s is not None else "+%sms" % ticks_ms()

    def _ask(self):
        try:
            self._device.session.publish_nowait(self._topic, self.request())
        except (NotConnected, QueueFull):
            pass  # the next login asks

    def _event(self, what, detail):
        # What an upload does to the connection is no news: it would bring the next upload.
        if what == ONLINE_AGAIN:
            if not self._stepped_aside:
                self.info("online")
            self._ask()
        elif what == OFFLINE:
            self._stepped_aside = self._device.session.is_away
            if not self._stepped_aside:
                self.warning("offline: %s", detail)
        elif isinstance(detail, Exception):
            self.exception(detail)


def _secrets(config):
    networks = config["network"]
    if isinstance(networks, dict):
        networks = [networks]
    found = []
    for network in networks:
        # Of another shape where it is no Wi-Fi; a modem's may be a number.
        password = isinstance(network, dict) and network.get("password")
        if password:
            found.append(str(password))
    if config["secret"] is not None:
        found.append(config["secret"].text.decode())
    return found


join = DeviceLog
