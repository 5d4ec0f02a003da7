"""Signatures of requests: document "签名方法", PROTOCOL.md 3. Pure.

Keys are a secret's text, never decoded. Where the documents and the SDKs differ, both are taken:
the algorithm's spelling, and with hmacsha1 a body hashed by SHA-256 or SHA-1.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from tools.hub.device_http.refused import Refused

# A second count of 2286 has ten digits; nobody sends more than milliseconds.
MAX_TIMESTAMP_DIGITS = 13
MAX_NONCE = 2**31 - 1
_HMAC_DIGESTS = {"hmacsha256": ("sha256", ["sha256"]), "hmacsha1": ("sha1", ["sha256", "sha1"])}
_RSA = frozenset({"rsa-sha256", "rsa_sha256", "rsasha256"})


@dataclass(frozen=True, slots=True)
class Signature:
    """What a request's header fields say, with all that is signed."""

    algorithm: str
    timestamp_s: int
    nonce: int
    _lines: tuple[str, ...] = field(repr=False)
    _body: bytes = field(repr=False)
    _signature: bytes = field(repr=False)

    @property
    def by_private_key(self) -> bool:
        return self.algorithm.lower() in _RSA

    def check_secret(self, secret: str) -> None:
        """Raises Refused unless it was made with this secret's text."""
        digests = _HMAC_DIGESTS.get(self.algorithm.lower())
        if digests is None:
            raise _wrong("X-TC-Algorithm: this is signed with hmacsha256 or hmacsha1")
        digest, body_digests = digests
        for body_digest in body_digests:
            expected = hmac.digest(secret.encode(), self._text(body_digest), digest)
            if hmac.compare_digest(expected, self._signature):
                return
        raise _wrong("the signature does not match")

    def check_certificate(self, certificate_der: bytes) -> None:
        """Raises Refused unless it was made with the private key of this certificate."""
        if not self.by_private_key:
            raise _wrong("X-TC-Algorithm: a device with a certificate signs with rsa-sha256")
        key = x509.load_der_x509_certificate(certificate_der).public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise _wrong("the device's certificate is not RSA, which rsa-sha256 needs")
        try:
            key.verify(self._signature, self._text("sha256"), padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            raise _wrong("the signature does not match") from None

    def _text(self, body_digest: str) -> bytes:
        return "\n".join((*self._lines, hashlib.new(body_digest, self._body).hexdigest())).encode()


def read_signature(headers: Mapping[str, str], host: str, path: str, body: bytes) -> Signature:
    """The signature of a POST of `body` to `path`; `host` may have a port, which is not signed.

    Raises Refused for fields that are missing or malformed. The lines of the text are as sent.
    """
    algorithm, timestamp, nonce, signature = (
        _sent(headers, f"X-TC-{name}") for name in ("Algorithm", "Timestamp", "Nonce", "Signature")
    )
    try:
        signature_bytes = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise _wrong("X-TC-Signature: not base64") from None
    return Signature(
        algorithm,
        _number(timestamp, "X-TC-Timestamp", 10**MAX_TIMESTAMP_DIGITS - 1),
        _number(nonce, "X-TC-Nonce", MAX_NONCE),
        ("POST", _without_port(host), path, "", algorithm, timestamp, nonce),
        body,
        signature_bytes,
    )


def _sent(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise Refused("MissingParameter", f"the header field {name} is missing")
    return value


def _number(text: str, name: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
        raise Refused("InvalidParameterValue", f"{name}: a number from 0 to {most}")
    number = int(text)
    if number > most:
        raise Refused("InvalidParameterValue", f"{name}: a number from 0 to {most}")
    return number


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _wrong(message: str) -> Refused:
    return Refused("AuthFailure.SignatureFailure", message)
