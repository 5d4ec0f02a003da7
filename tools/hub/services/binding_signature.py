"""How a gateway proves that it knows a sub-device's secret (document "拓扑关系管理"). Pure.

The documents print the text without a `;` before the time, and do not say how the signature is
written; both SDKs put a `;` there and write base64. For a certificate the documents take its SHA-1
digest as the key, the C SDK the MD5 digest, in hex, of the file. Each combination is taken.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tools.hub.identity import Identity

METHODS = {"hmacsha1": "sha1", "hmacsha256": "sha256"}


def secret_keys(secret: str) -> list[bytes]:
    """The text of the device secret, not what it decodes to."""
    return [secret.encode()]


def certificate_keys(certificate: bytes) -> list[bytes]:
    """What may stand for a certificate (DER): digests of it, and of the files that hold it."""
    digest = hashlib.sha1(certificate, usedforsecurity=False)
    pem = x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
    files = [hashlib.md5(file, usedforsecurity=False).hexdigest() for file in (pem, certificate)]
    return [digest.digest(), digest.hexdigest().encode(), *(each.encode() for each in files)]


def is_signed(
    signature: str,
    keys: list[bytes],
    method: str,
    device: Identity,
    random: int,
    timestamp: int,
) -> bool:
    """Whether a signature is one of those that the documents or the SDKs make."""
    given = signature.encode()
    found = False
    for key in keys:
        for text in _texts(device, random, timestamp):
            made = hmac.new(key, text.encode(), METHODS[method])
            for written in (base64.b64encode(made.digest()), made.hexdigest().encode()):
                found |= hmac.compare_digest(written, given)
    return found


def _texts(device: Identity, random: int, timestamp: int) -> Iterator[str]:
    yield f"{device.client_id};{random};{timestamp}"
    yield f"{device.client_id};{random}{timestamp}"
