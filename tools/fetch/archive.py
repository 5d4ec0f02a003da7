"""Takes one pinned file out of a wheel (zip) or a source archive (tar.gz)."""

import hashlib
import tarfile
import zipfile
from pathlib import Path

from tools.fetch.errors import FetchError
from tools.fetch.pins import Member, Pin


def read_member(pin: Pin, archive: Path, member: Member) -> bytes:
    """Returns the content of `member`; reads at most its pinned size. Raises `FetchError`."""
    try:
        content = _read(archive, member)
    except (KeyError, OSError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise _unusable(pin, f"{pin.file} holds no readable {member.path}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != member.sha256:
        reason = f"SHA-256 of {member.path} is {digest}, pinned is {member.sha256}"
        raise _unusable(pin, reason)
    return content


def _read(archive: Path, member: Member) -> bytes:
    limit_bytes = member.size_bytes + 1  # one more, so that a longer file cannot pass for this one
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as wheel, wheel.open(member.path) as stream:
            return stream.read(limit_bytes)
    with tarfile.open(archive, "r:gz") as source:
        packed = source.extractfile(member.path)
        if packed is None:
            raise KeyError(member.path)
        with packed:
            return packed.read(limit_bytes)


def _unusable(pin: Pin, reason: str) -> FetchError:
    hint = "The archive has its pinned digest, so the pin file is wrong: correct it."
    return FetchError(pin.name, "unpacking", reason, hint)
