"""Certificates and keys as MicroPython reads them: DER."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tools.boards.errors import BoardError

_PHASE = "reading the certificate"
_MAX_BYTES = 64 * 1024


def certificate_der(path: Path) -> bytes:
    """Of a file in PEM or DER. Raises BoardError."""
    content = _read(path)
    try:
        load = (
            x509.load_pem_x509_certificate if _is_pem(content) else x509.load_der_x509_certificate
        )
        return load(content).public_bytes(serialization.Encoding.DER)
    except ValueError as error:
        raise BoardError(_PHASE, f"{path} is no certificate", "PEM or DER is wanted.") from error


def pair_der(certificate: Path, key: Path) -> tuple[bytes, bytes]:
    """A certificate and its private key, which must belong together. Raises BoardError."""
    der = certificate_der(certificate)
    content = _read(key)
    try:
        load = (
            serialization.load_pem_private_key
            if _is_pem(content)
            else serialization.load_der_private_key
        )
        private = load(content, None)
    except (TypeError, ValueError) as error:
        hint = "PEM or DER without a passphrase is wanted."
        raise BoardError("reading the key", f"{key} is no private key", hint) from error
    if private.public_key() != x509.load_der_x509_certificate(der).public_key():
        reason = f"{key} does not belong to {certificate}"
        raise BoardError("reading the key", reason, "Take the pair that the console gave.")
    return der, private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _is_pem(content: bytes) -> bool:
    return b"-----BEGIN " in content


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES)
    except OSError as error:
        raise BoardError(_PHASE, f"{path}: {error.strerror}", "Check the path.") from error
