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
from random import getrandbits
from time import ticks_diff, ticks_ms

from iothub.compat import const
from iothub.errors import BadInput, DeadlineError, LinkError, StorageError, UpdateError
from iothub.mqtt.backoff import Backoff
from iothub.net import http
from iothub.services import ota as service
from iothub.store.journal import Journal
from iothub.timeouts import OTA_FLUSH_MS, OTA_URL_MS
from iothub.update import download as asking
from iothub.update import resume as kept
from iothub.update.image import TRAILER_BYTES
from iothub.update.writer import Writer

_MAX_REDIRECTS = const(3)


class DeviceOta(service.Ota):
    """`bytes_per_s` limits a download; 0 is no limit. `records` counts those that were written."""

    bytes_per_s = 0
    records = 0

    def __init__(self, device, identity, name, publish=None, turn=None):
        self._device = device
        super().__init__(device.services, identity, self._download, publish)
        self._journal = Journal(device.storage, name, 512)
        self._tail_file = name + ".tail"
        self._record = None
        self._place = None
        self._on_installed = None
        self._turn = turn or asyncio.Lock()  # one download at a time: one buffer, one connection
        self._may_run = asyncio.Event()
        self._may_run.set()

    # What an application calls

    def start(self, version, place):
        """From now on updates are taken. `version` (str) is what runs."""
        self.version = version
        self._place = place
        record = self._record = kept.load(self._journal)
        if record and record.stage == kept.INSTALLED:
            if record.version == version:
                self.restored(version)
            elif place.rolled_back:
                self.restored(record.version)
                self._driver.spawn(self.settle(UpdateError(place.rolled_back)))
            else:
                record.stage = kept.LOADING  # the power failed before it was installed
        if self.is_connected:
            self.report_version()

    async def settle(self, error=None):
        """Tells the cloud that the version that was installed runs well, or the error for which
        it was given up; it is not taken again then. Does nothing when there was no update."""
        if self.state == service.BURNING:
            if error:
                self._save(kept.REFUSED)
            try:
                await self.finish(error)
            except DeadlineError as e:
                self._driver.report(e)
            if not error:
                self._record = None
                kept.forget(self._journal)

    def on_installed(self, handler):
        """Decorator: `handler(version)`, plain or async, is to restart the device."""
        self._on_installed = handler
        return handler

    def pause(self):
        """Hangs up after the block that is on its way, until resume()."""
        self._may_run.clear()

    def resume(self):
        self._may_run.set()

    def of(self, sub_device):
        """The same for a sub-device (services/gateway.py), which has it downloaded here."""
        name = "ota." + sub_device.client_id.decode()
        made = DeviceOta(self._device, sub_device, name, sub_device.publish, self._turn)
        sub_device.on(made.pattern, made.received)
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
        if self._place is None:
            raise UpdateError("this device takes no updates")
        async with self._turn:
            record = self._record
            if record is None or not record.is_of(job):
                record = kept.Record(job.version, job.md5, job.size)
            elif record.stage == kept.REFUSED:
                raise UpdateError("it was tried before, and given up")
            self._record = record
            writer = Writer(record, self._place, self._save)
            try:
                await self._go_on(writer)
                await self._load(job, writer)
                try:
                    trailer = writer.finish()
                except UpdateError:
                    self._record = None
                    kept.forget(self._journal)
                    raise
            finally:
                writer.close()
            self.burning()
            self._save(kept.INSTALLED)
            for _ in self._place.install(trailer):
                await asyncio.sleep_ms(0)
        try:
            await self._device.session.flush(OTA_FLUSH_MS)
        except DeadlineError:
            pass
        result = self._on_installed and self._on_installed(job.version)
        if hasattr(result, "send"):
            await result

    async def _go_on(self, writer):
        """From where the record says that a download was when the device was reset."""
        for _ in writer.read_again():
            await asyncio.sleep_ms(0)
        if writer.taken:
            tail = self._device.storage.read(self._tail_file)
            try:
                writer.take_tail(tail or b"")
            except UpdateError:
                pass  # it comes once more, with the end of the file
        self.progress(writer.taken)

    async def _load(self, job, writer):
        record = writer.record
        asked = asking.Download(
            job.size, TRAILER_BYTES, writer.taken, record.etag, bool(writer.tail)
        )
        source = _Source(self._device)
        backoff = Backoff(_random_below)
        restarts = 0
        try:
            while not writer.is_complete:
                await self._may_run.wait()
                try:
                    response = await source.ask(job.url, asked.fields())
                    behaviour = asked.answer(response.status, response.fields, response.length)
                    if asked.restarts != restarts:
                        restarts = asked.restarts
                        writer.begin()
                    if behaviour == asking.TAKE:
                        record.etag = asked.etag
                        await self._take(source, asked, writer)
                        backoff.reset()
                        continue
                except LinkError as e:
                    behaviour = asked.failed(e)
                source.close()
                if behaviour == asking.RENEW:
                    await self._renewed()
                elif behaviour == asking.RETRY:
                    await asyncio.sleep_ms(backoff.next_ms())
        finally:
            source.close()

    async def _take(self, source, asked, writer):
        """Takes a body. Raises LinkError, also when it ends before it brought anything."""
        if asked.wants_tail:
            tail = await source.client.read(TRAILER_BYTES)
            writer.take_tail(tail)
            self._keep_tail(tail)
            asked.has_tail = True
            return
        then_ms = started_ms = ticks_ms()
        before = writer.taken
        while not writer.is_complete:
            count = await source.client.readinto(writer.space())
            if not count:
                if writer.taken == before:
                    raise LinkError("the body is empty")
                return
            is_block = writer.took(count)
            asked.offset = writer.taken
            asked.progressed()
            if is_block:
                now_ms = ticks_ms()
                self.progress(writer.taken, ticks_diff(now_ms, then_ms))
                then_ms = now_ms
                if not self._may_run.is_set():
                    source.close()
                    return
                pause_ms = 0
                if self.bytes_per_s:
                    due_ms = (writer.taken - before) * 1000 // self.bytes_per_s
                    pause_ms = max(0, due_ms - ticks_diff(now_ms, started_ms))
                await asyncio.sleep_ms(pause_ms)

    async def _renewed(self):
        """Waits for the URL that comes when the version is reported; a while."""
        urls = self.urls
        self.report_version()
        try:
            await self._driver.until(lambda: self.urls != urls, OTA_URL_MS)
        except DeadlineError:
            pass

    # What is kept

    def _save(self, stage=kept.LOADING):
        self._record.stage = stage
        self._journal.save(self._record.packed())
        self.records += 1

    def _keep_tail(self, tail):
        try:
            self._device.storage.write(self._tail_file, tail)
        except OSError as e:
            raise StorageError("cannot save the trailer", None, e.errno)


class _Source:
    """The file server. The connection stays open from the tail to the rest."""

    def __init__(self, device):
        self.client = None
        self._device = device
        self._security = None

    async def ask(self, url, fields):
        """The response to a GET, redirects followed. Raises LinkError, its kinds, BadInput."""
        device = self._device
        client = self.client
        if client is not None and client.is_reusable():
            return await client.request("GET", client.path, fields, None, asking.WANTED)
        settings = device.config["http"]
        network = device.network
        if url.lower().startswith("https:"):
            if self._security is None:
                from iothub.net import tls

                self._security = tls.Certificates(tls.load_anchors(device.config["ca"]))
            from iothub.net.rtc import TimedNetwork

            network = TimedNetwork(network, device.config["sntp"], device.chip)
        elif settings.get("transport") != "http":
            raise BadInput("url", 'is not https; "http" in the configuration may allow it')
        session = device.session if settings.get("alone") else None
        self.client = await http.follow(
            url, self._security, network, fields, asking.WANTED, _MAX_REDIRECTS, session
        )
        return self.client.response

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None


def _random_below(n):
    return getrandbits(30) % n


def join(device):
    return device.services.run(DeviceOta(device, device.identity, "ota"))
