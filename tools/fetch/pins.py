"""Reads the pin file: which archive of which package, its digest, the files taken out of it."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tools.fetch.errors import FetchError

PIN_FILE = Path(__file__).with_name("pins.toml")
ARCHIVE_LIMIT_BYTES = 64 * 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Member:
    """One file inside an archive, and where it goes, relative to the root of the clone."""

    path: str
    size_bytes: int
    sha256: str
    destination: PurePosixPath


@dataclass(frozen=True)
class Pin:
    """One archive of one release of one package."""

    name: str
    package: str
    version: str
    file: str
    size_bytes: int
    sha256: str
    members: tuple[Member, ...]


def read_pins(path: Path = PIN_FILE) -> dict[str, Pin]:
    """Returns the pins by name. Raises `FetchError` naming the field that is missing or wrong."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise FetchError(
            path.name, "reading the pins", str(error), "Restore the file from version control."
        ) from error
    return {name: _pin(name, table) for name, table in tables.items()}


def _pin(name: str, table: dict[str, Any]) -> Pin:
    members = tuple(
        Member(
            path=_text(name, member, "path"),
            size_bytes=_size_bytes(name, member),
            sha256=_sha256(name, member),
            destination=_destination(name, member),
        )
        for member in table.get("members", ())
    )
    if not members:
        raise _bad(name, "members", "names no file to take out of the archive")
    return Pin(
        name=name,
        package=_text(name, table, "package"),
        version=_text(name, table, "version"),
        file=_text(name, table, "file"),
        size_bytes=_size_bytes(name, table),
        sha256=_sha256(name, table),
        members=members,
    )


def _bad(name: str, field: str, reason: str) -> FetchError:
    return FetchError(name, "reading the pins", f"{field} {reason}", f"Correct [{name}] in pins.")


def _text(name: str, table: dict[str, Any], field: str) -> str:
    value = table.get(field)
    if not isinstance(value, str) or not value:
        raise _bad(name, field, "must be a text that is not empty")
    return value


def _size_bytes(name: str, table: dict[str, Any]) -> int:
    value = table.get("size_bytes")
    if not isinstance(value, int) or not 0 < value <= ARCHIVE_LIMIT_BYTES:
        raise _bad(name, "size_bytes", f"must be a number from 1 to {ARCHIVE_LIMIT_BYTES}")
    return value


def _sha256(name: str, table: dict[str, Any]) -> str:
    value = _text(name, table, "sha256")
    if not _SHA256.fullmatch(value):
        raise _bad(name, "sha256", "must be 64 lower-case hexadecimal digits")
    return value


def _destination(name: str, table: dict[str, Any]) -> PurePosixPath:
    value = PurePosixPath(_text(name, table, "destination"))
    if value.is_absolute() or ".." in value.parts:
        raise _bad(name, "destination", "must stay inside the clone")
    return value
