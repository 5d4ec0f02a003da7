"""The download of an update: one file, over as many connections as it takes. Loaded with the first
download (net/ota.py); what each answer means says update/download.py."""

import asyncio
from random import getrandbits
from time import ticks_diff, ticks_ms

from iothub.compat import const
from iothub.errors import BadInput, DeadlineError, LinkError, StorageError, UpdateError
from iothub.loading import for_now
from iothub.mqtt.backoff import Backoff
from iothub.net.follow import follow
from iothub.timeouts import OTA_URL_MS
from iothub.update.download import RENEW, RETRY, TAKE, WANTED, Download
from iothub.update.image import TRAILER_BYTES
from iothub.update.writer import Writer

_MAX_REDIRECTS = const(3)
_MD5_BYTES = const(16)
# How long a download that is always served keeps others waiting: some blocks of flash.
_TURN_MS = const(20)


async def fetch(ota, job):
    """The image.Trailer of a job's file, which is then in its target, whole and verified. `ota` is
    the net.ota.DeviceOta it is for. Raises UpdateError, StorageError, BadInput."""
    writer = Writer(ota.record, ota.place, ota.save)
    source = _Source(ota.device)
    try:
        for _ in writer.read_again():
            await asyncio.sleep_ms(0)
        if writer.taken:
            kept = ota.device.storage.read(ota.tail_file) or b""
            try:
                if kept.startswith(ota.record.md5):  # else of another file
                    writer.take_tail(kept[_MD5_BYTES:])
            except UpdateError:
                pass  # it comes once more, at the end of the file
        ota.progress(writer.taken)
        await _load(ota, job, writer, source)
        return writer.finish()
    finally:
        source.close()
        writer.close()


async def _load(ota, job, writer, source):
    record = writer.record
    asked = Download(job.size, TRAILER_BYTES, writer.taken, record.etag, bool(writer.tail))
    backoff = Backoff(_random_below)
    restarts = 0
    while not writer.is_complete:
        await ota.may_run.wait()
        try:
            response = await source.ask(job.url, asked.fields())
            behaviour = asked.answer(response.status, response.fields, response.length)
            if asked.restarts != restarts:
                restarts = asked.restarts
                writer.begin()
            if behaviour == TAKE:
                record.etag = asked.etag
                if asked.wants_tail:
                    await _take_tail(ota, asked, writer, source)
                else:
                    await _take(ota, asked, writer, source)
                backoff.reset()
                continue
        except LinkError as e:
            behaviour = asked.failed(e)
            ota.device.services.report(e)  # trying again may take long
        source.close()
        if behaviour == RENEW:
            await _renewed(ota)
        elif behaviour == RETRY:
            await asyncio.sleep_ms(backoff.next_ms())


async def _take_tail(ota, asked, writer, source):
    tail = await source.client.read(TRAILER_BYTES)
    writer.take_tail(tail)
    try:
        ota.device.storage.write(ota.tail_file, writer.record.md5 + tail)
    except OSError as e:
        raise StorageError("cannot save the trailer", None, e.errno)
    asked.has_tail = True


async def _take(ota, asked, writer, source):
    """Takes a body, or some of it. Raises LinkError, also when it is empty."""
    told_ms = began_ms = ticks_ms()
    began_at = writer.taken
    read_now = source.client.read_now
    space, took = writer.space, writer.took
    try:
        while not writer.is_complete:
            count = read_now(space())
            if count is None:
                count = await source.client.readinto(space())
            if not count:
                if writer.taken == began_at:
                    raise LinkError("the body is empty")
                return
            if not took(count):
                continue
            now_ms = ticks_ms()
            elapsed_ms = ticks_diff(now_ms, told_ms)
            if elapsed_ms < _TURN_MS and not ota.bytes_per_s:
                continue
            told_ms = now_ms
            ota.progress(writer.taken, elapsed_ms)
            if not ota.may_run.is_set():
                source.close()
                return
            pause_ms = 0
            if ota.bytes_per_s:
                due_ms = (writer.taken - began_at) * 1000 // ota.bytes_per_s
                pause_ms = max(0, due_ms - ticks_diff(now_ms, began_ms))
            await asyncio.sleep_ms(pause_ms)
    finally:
        asked.came_to(writer.taken)


async def _renewed(ota):
    """Waits for the URL that comes when the version is reported; a while."""
    urls = ota.urls
    ota.report_version()
    try:
        await ota.device.services.until(lambda: ota.urls != urls, OTA_URL_MS)
    except DeadlineError:
        pass


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
            return await client.request("GET", client.path, fields, None, WANTED)
        settings = device.config["http"]
        network = device.network
        if url.lower().startswith("https:"):
            if self._security is None:
                self._security = for_now("iothub.net.tls").by_certificates(device.config["ca"])
            from iothub.net.rtc import TimedNetwork

            network = TimedNetwork(network, device.config["sntp"], device.chip)
        elif settings.get("transport") != "http":
            raise BadInput("url", 'is not https; "http" in the configuration may allow it')
        session = device.session if settings.get("alone") else None
        self.client = await follow(
            url, self._security, network, fields, WANTED, _MAX_REDIRECTS, session
        )
        return self.client.response

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None


def _random_below(n):
    return getrandbits(30) % n
