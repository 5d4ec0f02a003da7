"""The download of an update: one file, over as many connections as it takes. Loaded for a download
(net/stages.py); what each answer means says update/download.py."""

import asyncio
from random import getrandbits
from time import ticks_diff, ticks_ms

from iothub.compat import const
from iothub.errors import DeadlineError, LinkError, StorageError, UpdateError
from iothub.loading import for_now, let_go
from iothub.mqtt.backoff import Backoff
from iothub.timeouts import OTA_URL_MS
from iothub.update.asked import WANTED, Asked
from iothub.update.download import RENEW, RETRY, TAKE
from iothub.update.image import HEAD_BYTES, TRAILER_BYTES

_MD5_BYTES = const(16)
# How long a download that is always served keeps others waiting: some blocks of flash.
_TURN_MS = const(20)


async def fetch(ota, update, writer):
    """Gives `writer` (update/writer.py) what it has not of the file of an ota_update.Update.
    `ota` is the net.ota.DeviceOta it is for. Raises UpdateError, StorageError, BadInput."""
    source = _Source(ota.device)
    try:
        if writer.taken:
            kept = ota.device.storage.read(ota.tail_file) or b""
            try:
                if kept.startswith(update.md5):  # else of another file
                    for_now("iothub.update.checks").take_tail(writer, kept[_MD5_BYTES:])
            except UpdateError:
                pass  # it comes once more, at the end of the file
        update.progress(writer.taken)
        await _load(ota, update, writer, source)
    finally:
        source.close()
        let_go("iothub.net.http")


async def _load(ota, update, writer, source):
    record = writer.record
    asked = Asked(update.size, TRAILER_BYTES, writer.taken, record.etag, bool(writer.tail))
    backoff = Backoff(_random_below)
    restarts = 0
    while not writer.is_complete:
        await ota.may_run.wait()
        try:
            behaviour = await source.ask(update.url, asked)
            if asked.restarts != restarts:
                restarts = asked.restarts
                writer.begin()
            if behaviour == TAKE:
                record.etag = asked.etag
                if asked.wants_tail:
                    await _take_tail(ota, asked, writer, source)
                else:
                    await _take(ota, update, asked, writer, source)
                backoff.reset()
                continue
        except LinkError as e:
            behaviour = for_now("iothub.update.download").failed(asked, e)
            ota.device.services.report(e)  # trying again may take long
        source.close()
        if behaviour == RENEW:
            await _renewed(ota)
        elif behaviour == RETRY:
            await asyncio.sleep_ms(backoff.next_ms())


async def _take_tail(ota, asked, writer, source):
    tail = await source.client.read(TRAILER_BYTES)
    for_now("iothub.update.checks").take_tail(writer, tail)
    try:
        ota.device.storage.write(ota.tail_file, writer.record.md5 + tail)
    except OSError as e:
        raise StorageError("cannot save the trailer", None, e.errno)
    asked.has_tail = True


async def _take_head(writer, source):
    """The first bytes, by which the place judges what follows. Raises LinkError."""
    head = memoryview(bytearray(HEAD_BYTES))
    here = 0
    while here < HEAD_BYTES:
        count = await source.client.readinto(head[here:])
        if not count:
            raise LinkError("the body is empty")
        here += count
    for_now("iothub.update.checks").admit(writer, head)
    writer.begin_with(head)


async def _take(ota, update, asked, writer, source):
    """Takes a body, or some of it. Raises LinkError, also when it is empty."""
    if not writer.taken:
        await _take_head(writer, source)
    told_ms = paced_ms = ticks_ms()
    began_at = paced_at = writer.taken
    rate = ota.bytes_per_s
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
            if rate != ota.bytes_per_s:  # for what came before nothing is owed
                rate = ota.bytes_per_s
                paced_ms = now_ms
                paced_at = writer.taken
            if elapsed_ms < _TURN_MS and not rate:
                continue
            told_ms = now_ms
            update.progress(writer.taken, elapsed_ms)
            if not ota.may_run.is_set():
                source.close()
                return
            pause_ms = 0
            if rate:
                due_ms = (writer.taken - paced_at) * 1000 // rate
                pause_ms = max(0, due_ms - ticks_diff(now_ms, paced_ms))
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

    async def ask(self, url, asked):
        """What to do after the answer to the next request, redirects followed: download.TAKE its
        body, and so on. Raises LinkError, its kinds, BadInput, UpdateError."""
        fields = for_now("iothub.update.download").fields(asked)
        client = self.client
        is_served = False
        if client is not None and client.is_reusable():
            await client.request("GET", client.path, fields, None, WANTED)
            is_served = client.response.status // 100 != 3  # else the way is looked for again
        if not is_served:
            self.close()
            follow = for_now("iothub.net.follow")
            client = await follow.for_device(self._device, url, fields, WANTED)
            self.client = client
        return for_now("iothub.update.download").answer(asked, client.response)

    def close(self):
        if self.client is not None:
            self.client.close()
            self.client = None


def _random_below(n):
    return getrandbits(30) % n
