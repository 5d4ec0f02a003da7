"""A certificate with its private key, in the forms programs want them."""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class PkiError(Exception):
    """A certificate or key cannot be made or read; the text says which and why."""


@dataclass(frozen=True)
class Credential:
    """PEM is for servers and host tools, DER for the device (MicroPython reads nothing else)."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, certificate_pem: bytes, key_pem: bytes) -> "Credential":
        """Reads back what certificate_pem and key_pem gave. Raises PkiError."""
        try:
            certificate = x509.load_pem_x509_certificate(certificate_pem)
        except ValueError as error:
            raise PkiError("the certificate is not PEM") from error
        try:
            key = serialization.load_pem_private_key(key_pem, None)
        except (TypeError, ValueError) as error:
            raise PkiError("the private key is not PEM, or has a passphrase") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise PkiError("the private key is neither RSA nor EC")
        if key.public_key() != certificate.public_key():
            raise PkiError("certificate and private key do not belong together")
        return cls(certificate, key)

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def certificate_der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        return self._key(serialization.Encoding.PEM)

    @property
    def key_der(self) -> bytes:
        """PKCS#8."""
        return self._key(serialization.Encoding.DER)

    def _key(self, encoding: serialization.Encoding) -> bytes:
        return self.key.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
