"""What the cloud says to services/ota.py. Loaded for each message and let go of
(iothub.loading)."""

import binascii

from iothub.compat import const
from iothub.errors import ServiceRefused
from iothub.loading import for_now
from iothub.services.ota import BURNING, DOWNLOADING, IDLE

_MAX_VERSION_CHARS = const(64)  # the vendor's have 32 at most
_MAX_URL_CHARS = const(2048)
_MAX_FILE_BYTES = const(0x3FFFFFFF)


def take(ota, payload):
    """A message for an Ota."""
    message = ota._message(payload)
    if message is None:
        return
    if message["type"] == "update_firmware":
        file = _file(message)
        if file is None:
            ota.malformed += 1
        elif ota.state != BURNING:  # finish() reports the version, which brings it again
            ota.urls += 1
            _wanted(ota, *file)
    elif message["type"] == "report_version_rsp":
        code = message.get("result_code")
        if code:
            code = code if type(code) is int else -1
            ota._driver.report(ServiceRefused("version refused (%d)" % code, "ota", code))


def _wanted(ota, version, url, md5, size):
    update = ota.update
    if ota.state == DOWNLOADING:
        if (update.version, update.md5, update.size) == (version, md5, size):
            update.url = url
            ota._driver.wake()
            return
        update.task.cancel()
        ota.update = None
        ota._enter(IDLE)
    update = for_now("iothub.services.ota_update").Update(ota, version, url, md5, size)
    if version == ota.version:
        update.tell("done")
    else:
        update.begin()


def _file(message):
    """(version, URL, MD5, size) of an update_firmware, or None if it is not what the documents
    say."""
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
    return (version, url, digest, size) if len(digest) == 16 else None
