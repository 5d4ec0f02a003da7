"""The hub's own certificate authority: made on first start, kept in the data directory.

It issues what the hub shows its clients, and the certificates of devices whose product logs in by
certificate. It is for a desk: its key is a file, readable by its owner only.
"""

from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from tools.hub.files import PRIVATE, PUBLIC, FileError, write_files
from tools.pki import Credential, PkiError, issue, make_authority
from tools.pki.issuing import Kind

AUTHORITY_NAME = "Local IoT Hub CA"
# A server with both serves clients that know only one of them; the vendor's know RSA best.
SERVER_KEY_KINDS: tuple[Kind, ...] = ("ec", "rsa")
# The cloud's own host names, for clients that are led here by a hosts file.
CLOUD_NAMES = tuple(
    f"*.{region}.tencentdevices.com"
    for region in (
        *("iotcloud", "us-east.iotcloud", "europe.iothub", "ap-bangkok.iothub"),
        *("ap-guangzhou.iothub", "us-east.iothub", "gateway"),
    )
)
CLOUD_API_NAMES = ("*.tencentcloudapi.com",)
_RENEW_BEFORE = timedelta(days=30)


class Authority:
    """Keeps its files in a directory, or nothing anywhere when that is None."""

    def __init__(self, directory: Path | None) -> None:
        """Raises FileError."""
        self._directory = directory
        self._credential = self._kept("ca") or self._keep("ca", make_authority(AUTHORITY_NAME))
        if directory is not None:
            write_files(directory, {"ca.der": (self.certificate_der, PUBLIC)})

    @property
    def certificate_pem(self) -> bytes:
        return self._credential.certificate_pem

    @property
    def certificate_der(self) -> bytes:
        """What a device is given as its trust anchor."""
        return self._credential.certificate_der

    def server_credentials(self, host_names: list[str]) -> list[Credential]:
        """One for each kind of key, for these names and the cloud's; made again when it must."""
        cloud = (*CLOUD_NAMES, *CLOUD_API_NAMES)
        names = list(dict.fromkeys([*host_names, "localhost", "127.0.0.1", "::1", *cloud]))
        return [self._server_credential(names, kind) for kind in SERVER_KEY_KINDS]

    def issue_device(self, client_id: str, kind: Kind) -> Credential:
        """A device's certificate: its client id is the common name."""
        return issue(self._credential, "device", [client_id], kind=kind)

    def _server_credential(self, names: list[str], kind: Kind) -> Credential:
        stem = f"server-{kind}"
        kept = self._kept(stem)
        if kept is not None and self._still_good(kept.certificate, names):
            return kept
        return self._keep(stem, issue(self._credential, "server", names, kind=kind))

    def _still_good(self, certificate: x509.Certificate, names: list[str]) -> bool:
        try:
            certificate.verify_directly_issued_by(self._credential.certificate)
        except (ValueError, InvalidSignature):
            return False  # of an authority that was removed
        kept = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        left = certificate.not_valid_after_utc - datetime.now(timezone.utc)
        return {str(each.value) for each in kept} == set(names) and left > _RENEW_BEFORE

    def _kept(self, stem: str) -> Credential | None:
        if self._directory is None:
            return None
        certificate, key = self._directory / f"{stem}.pem", self._directory / f"{stem}.key.pem"
        if not certificate.exists() or not key.exists():
            return None
        try:
            return Credential.from_pem(certificate.read_bytes(), key.read_bytes())
        except (OSError, PkiError) as error:
            raise FileError(
                f"reading {certificate}: {error}; remove it and its key to have them made again"
            ) from error

    def _keep(self, stem: str, credential: Credential) -> Credential:
        if self._directory is not None:
            files = {
                f"{stem}.key.pem": (credential.key_pem, PRIVATE),
                f"{stem}.pem": (credential.certificate_pem, PUBLIC),
            }
            write_files(self._directory, files)
        return credential
