"""The stages of an update, from the download to the restart. Loaded for as long as it takes, and
the code of each stage for its time only (iothub.loading)."""

import asyncio

from iothub.errors import DeadlineError, UpdateError
from iothub.loading import for_now, let_go
from iothub.timeouts import OTA_FLUSH_MS
from iothub.update import resume
from iothub.update_codes import WRONG_MD5

let_go("iothub.update.resume")  # a record holds its code


async def carry_out(ota, update):
    """Downloads and installs an ota_update.Update of `ota` (net/ota.py). Raises UpdateError,
    StorageError, BadInput."""
    place = ota.place
    if place is None:
        raise UpdateError("this device takes no updates")
    async with ota.turn:
        try:
            _recall(ota, update)
            trailer = await _downloaded(ota, update)
            update.burning()
            ota.save(resume.INSTALLED)
            for _ in place.install(trailer):
                await asyncio.sleep_ms(0)
        except BaseException:
            ota.record = None
            raise
        finally:
            let_go("iothub.update.image")  # which finish() and install() have in common
    try:
        await ota.device.session.flush(OTA_FLUSH_MS)
    except DeadlineError:
        pass
    result = ota.installed and ota.installed(update.version)
    if hasattr(result, "send"):
        await result


def _recall(ota, update):
    """The record of this file, begun before a reset or now."""
    record = resume.load(ota.journal)
    if record is None or not record.is_of(update):
        record = resume.Record(update.version, update.md5, update.size)
    elif record.stage == resume.REFUSED:
        # Wanted again: the cloud keeps what it is told last.
        raise UpdateError(ota.place.rolled_back or "it was tried before, and given up")
    ota.record = record


async def _downloaded(ota, update):
    """The image.Trailer of the file, which is then in its target, whole and right."""
    writer = for_now("iothub.update.writer").Writer(ota.record, ota.place, ota.save)
    try:
        for _ in for_now("iothub.update.checks").read_again(writer):
            await asyncio.sleep_ms(0)
        await for_now("iothub.net.fetch").fetch(ota, update, writer)
        return for_now("iothub.update.checks").finish(writer)
    except UpdateError as e:
        if e.code == WRONG_MD5:
            ota.forget()
        raise
    finally:
        writer.close()
