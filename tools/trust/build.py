"""Checks the anchors against their sources and today's date, and writes them."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from cryptography import x509

from tools.trust.anchors import Anchor
from tools.trust.errors import TrustError

WARN_DAYS = 180
_ROTATE = 'See "Rotation" in docs/trust.md.'


@dataclass(frozen=True)
class Checked:
    """An anchor whose certificate is at hand and as pinned."""

    anchor: Anchor
    der: bytes
    days_left: int

    @property
    def expires_soon(self) -> bool:
        return self.days_left <= WARN_DAYS


def check(anchor: Anchor, found: dict[str, bytes], today: date) -> Checked:
    """`found` is what sources.certificates() gave. Raises TrustError for an anchor that is
    missing, expired, or not what anchors.toml says."""
    der = found.get(anchor.sha256)
    if der is None:
        reason = "no installed package carries it any more; perhaps nobody should trust it"
        raise TrustError(anchor.name, reason, _ROTATE)
    certificate = x509.load_der_x509_certificate(der)
    expires = certificate.not_valid_after_utc.date()
    if expires != anchor.expires:
        reason = f"expires {expires}, not {anchor.expires}"
        raise TrustError(anchor.name, reason, f"Correct [{anchor.key}] in anchors.toml.")
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    if not constraints.ca or certificate.issuer != certificate.subject:
        reason = "is not a root certificate"
        raise TrustError(anchor.name, reason, f"Correct [{anchor.key}] in anchors.toml.")
    days_left = (expires - today).days
    if days_left <= 0:
        raise TrustError(anchor.name, f"has expired on {expires}", _ROTATE)
    return Checked(anchor, der, days_left)


def write(checked: list[Checked], folder: Path) -> list[Path]:
    """One .der file an anchor; .der files that are no longer anchors go, and are returned. Raises
    TrustError."""
    gone = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = {f"{item.anchor.key}.der" for item in checked}
        for path in folder.glob("*.der"):
            if path.name not in kept:
                path.unlink()
                gone.append(path)
        for item in checked:
            (folder / f"{item.anchor.key}.der").write_bytes(item.der)
    except OSError as error:
        reason = f"cannot be written: {error.strerror}"
        raise TrustError(str(error.filename), reason, "Move away what is in its place.") from error
    return gone
