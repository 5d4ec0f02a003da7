"""Updates over the air: `device.ota`.

    @device.ota.on_installed
    async def installed(version): machine.reset()

    device.ota.start("1.0", place)         # the version that runs; then await device.run()
    await device.ota.settle()              # once a version that was installed has proved itself

A `place` is where an update goes: update/slots.py, or for a sub-device of a gateway one of the
gateway's own. It has
  admit(trailer, head, size)   the name (str) of the target for a file of `size` bytes. `head` are
                               the first bytes of the image; `trailer` is an image.Trailer, or None
                               when the server would not give it first, and then is shown at the
                               end, which must not change the target. Raises UpdateError
  target(name)                 that target: update/partition.py, update/download_file.py
  install(trailer)             makes it what the next restart begins with: a generator that pauses
                               now and then. Raises UpdateError
  rolled_back                  why the version installed last was given up again (str), or None
"""

import asyncio

from iothub.errors import DeadlineError, UpdateError
from iothub.services import ota as service
from iothub.store.journal import Journal
from iothub.timeouts import OTA_FLUSH_MS
from iothub.update import resume as kept
from iothub.update_codes import WRONG_MD5


class DeviceOta(service.Ota):
    """`bytes_per_s` limits a download; 0 is no limit. `records` counts those that were written.
    The rest is for net/fetch.py, which is loaded with the first download."""

    bytes_per_s = 0
    records = 0

    def __init__(self, device, identity, name, publish=None, turn=None):
        self.device = device
        super().__init__(device.services, identity, self._download, publish)
        self._journal = Journal(device.storage, name, 512)
        self.tail_file = name + ".tail"
        self.record = None
        self.place = None
        self._on_installed = None
        self._turn = turn or asyncio.Lock()  # one download at a time: one buffer, one connection
        self.may_run = asyncio.Event()
        self.may_run.set()

    # What an application calls

    def start(self, version, place):
        """From now on updates are taken. `version` (str) is what runs."""
        self.version = version
        self.place = place
        record = self.record = kept.load(self._journal)
        if record and record.stage == kept.INSTALLED:
            if record.version == version:
                self.restored(version)
            elif place.rolled_back:
                self.restored(record.version)
                self._driver.spawn(self.settle(UpdateError(place.rolled_back)))
            else:
                record.stage = kept.LOADING  # the power failed before it was installed
        if self.is_connected and self.state != service.BURNING:
            self.report_version()

    async def settle(self, error=None):
        """Tells the cloud that the version that was installed runs well, or the error for which
        it was given up; it is not taken again then. Does nothing when there was no update."""
        if self.state == service.BURNING:
            if error:
                self.save(kept.REFUSED)
            record = self.record
            try:
                await self.finish(error)
            except DeadlineError as e:
                self._driver.report(e)
            if not error and self.record is record:  # else the next version is on its way
                self.forget()

    def on_installed(self, handler):
        """Decorator: `handler(version)`, plain or async, is to restart the device."""
        self._on_installed = handler
        return handler

    def pause(self):
        """Hangs up after the block that is on its way, until resume()."""
        self.may_run.clear()

    def resume(self):
        self.may_run.set()

    def of(self, sub_device):
        """The same for a sub-device (services/gateway.py), which has it downloaded here."""
        name = "ota." + sub_device.client_id.decode()
        made = DeviceOta(self.device, sub_device, name, sub_device.publish, self._turn)
        sub_device.on(made.pattern)(made.received)
        self._driver.spawn(made._follow(sub_device))
        return made

    async def _follow(self, sub_device):
        while True:
            await self._driver.until(lambda: sub_device.is_online, None)
            self.connected()
            await self._driver.until(lambda: not sub_device.is_online, None)
            self.closed()

    # The download

    async def _download(self, job):
        if self.place is None:
            raise UpdateError("this device takes no updates")
        from iothub.net.fetch import fetch

        async with self._turn:
            record = self.record
            if record is None or not record.is_of(job):
                record = self.record = kept.Record(job.version, job.md5, job.size)
            elif record.stage == kept.REFUSED:
                # Wanted again: the cloud keeps what it is told last.
                raise UpdateError(self.place.rolled_back or "it was tried before, and given up")
            try:
                trailer = await fetch(self, job)
            except UpdateError as e:
                if e.code == WRONG_MD5:
                    self.forget()
                raise
            self.burning()
            self.save(kept.INSTALLED)
            for _ in self.place.install(trailer):
                await asyncio.sleep_ms(0)
        try:
            await self.device.session.flush(OTA_FLUSH_MS)
        except DeadlineError:
            pass
        result = self._on_installed and self._on_installed(job.version)
        if hasattr(result, "send"):
            await result

    def save(self, stage=kept.LOADING):
        self.record.stage = stage
        self._journal.save(self.record.packed())
        self.records += 1

    def forget(self):
        self.record = None
        kept.forget(self._journal)


def join(device):
    return device.services.run(DeviceOta(device, device.identity, "ota"))
