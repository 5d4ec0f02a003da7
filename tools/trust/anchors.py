"""Reads anchors.toml: which roots, what for, until when."""

import re
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from tools.trust.errors import TrustError

ANCHORS_FILE = Path(__file__).with_name("anchors.toml")
PURPOSES = ("mqtt", "wss", "gateway", "download")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KEY = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True)
class Anchor:
    """One root certificate; `key` is the name of its file without ".der"."""

    key: str
    name: str
    purposes: tuple[str, ...]
    expires: date
    sha256: str


def read_anchors(path: Path = ANCHORS_FILE) -> list[Anchor]:
    """Raises TrustError naming the field that is missing or wrong."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise TrustError(path.name, str(error), "Restore it from version control.") from error
    anchors = [_anchor(key, table) for key, table in tables.items()]
    if not anchors:
        raise TrustError(path.name, "names no anchor", "Restore it from version control.")
    return anchors


def _anchor(key: str, table: dict[str, Any]) -> Anchor:
    if not _KEY.fullmatch(key):
        raise _bad(key, "its key", "must be up to 32 lower-case letters, digits and hyphens")
    name, purposes, sha256 = table.get("name"), table.get("purposes"), table.get("sha256")
    expires = table.get("expires")
    if not isinstance(name, str) or not name:
        raise _bad(key, "name", "must be a text")
    if not isinstance(purposes, list) or not purposes or not set(purposes) <= set(PURPOSES):
        raise _bad(key, "purposes", f"must be a list of {', '.join(PURPOSES)}")
    if type(expires) is not date:
        raise _bad(key, "expires", "must be a date")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise _bad(key, "sha256", "must be 64 lower-case hexadecimal digits")
    return Anchor(key, name, tuple(purposes), expires, sha256)


def _bad(key: str, field: str, rule: str) -> TrustError:
    return TrustError(key, f"{field} {rule}", f"Correct [{key}] in anchors.toml.")
