"""Puts the files of one pin in their places, whole or not at all."""

import hashlib
import os
import tempfile
from pathlib import Path

from tools.fetch.archive import read_member
from tools.fetch.errors import FetchError
from tools.fetch.pins import Member, Pin
from tools.fetch.registry import download

CLONE = Path(__file__).resolve().parents[2]


def is_installed(pin: Pin, root: Path = CLONE) -> bool:
    """True if each file of `pin` is in its place with its pinned content."""
    return all(_holds(root / member.destination, member) for member in pin.members)


def install(pin: Pin, root: Path = CLONE) -> None:
    """Downloads `pin` and writes its files below `root`.

    Raises `FetchError`; each file is whole then, or as it was.
    """
    with tempfile.TemporaryDirectory(prefix="fetch-") as folder:
        archive = Path(folder) / pin.file
        download(pin, archive)
        contents = [read_member(pin, archive, member) for member in pin.members]
    for member, content in zip(pin.members, contents, strict=True):
        try:
            _write(root / member.destination, content)
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}"
            hint = "Move away what is in its place, or make room, then run it again."
            raise FetchError(pin.name, "writing", reason, hint) from error


def _holds(path: Path, member: Member) -> bool:
    if not path.is_file() or path.stat().st_size != member.size_bytes:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == member.sha256


def _write(path: Path, content: bytes) -> None:
    """Replaces `path` in one step, so that a reader or a second fetch never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
