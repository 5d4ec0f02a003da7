"""Who is connecting: client id, user name and password judged as PROTOCOL.md 1.2 has them.

This is the hub's own reading of the documents; it shares nothing with the firmware that signs.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from tools.hub.identity import Identity, parse_client_id
from tools.hub.transport.stream import Proof

SDK_APP_IDS = frozenset({"12010126", "21010406"})
# A signed 64-bit LONG_MAX has 19 digits; nobody sends a longer expiry.
MAX_EXPIRY_DIGITS = 20
_DIGESTS = {"hmacsha256": hashlib.sha256, "hmacsha1": hashlib.sha1}
_RSA_SUFFIX = b";rsa-sha256"


class ConnackCode(IntEnum):
    """MQTT 3.1.1, table 3.1."""

    ACCEPTED = 0
    BAD_PROTOCOL_LEVEL = 1
    CLIENT_ID_REJECTED = 2
    UNAVAILABLE = 3
    BAD_USER_NAME_OR_PASSWORD = 4
    NOT_AUTHORISED = 5


class Refused(Exception):
    """A login that fails: the CONNACK code and, for the hub's records only, the reason."""

    def __init__(self, code: ConnackCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a CONNECT says of who it is, over which transport, and what TLS proved beneath it."""

    client_id: str
    user_name: str | None
    password: bytes | None = field(repr=False)
    transport: str = "tcp"
    proof: Proof | None = None


class Account(Protocol):
    """What the registry knows of a device: a secret (base64 text) or a certificate (DER)."""

    @property
    def secret(self) -> str | None: ...
    @property
    def certificate(self) -> bytes | None: ...
    @property
    def enabled(self) -> bool: ...


class Directory(Protocol):
    """Where accounts are looked up."""

    def has_product(self, product_id: str) -> bool: ...
    def account(self, identity: Identity) -> Account | None: ...


def check_login(credentials: Credentials, directory: Directory, now_s: int) -> Identity:
    """The device that logs in. Raises Refused with the CONNACK code otherwise."""
    identity = parse_client_id(credentials.client_id)
    if identity is None:
        raise Refused(ConnackCode.CLIENT_ID_REJECTED, "client id is not PID+DN")
    expiry_s = _check_user_name(credentials)
    proof = credentials.proof
    if proof is not None and proof.client_id != credentials.client_id:
        raise _not_authorised(f"client id differs from the identity that TLS proved by {proof.by}")
    if not directory.has_product(identity.product_id):
        raise _not_authorised("unknown product")
    account = directory.account(identity)
    if account is None:
        raise _not_authorised("unknown device")
    if account.secret is None:
        _check_certificate(credentials, account)
    elif proof is None or proof.by != "psk":
        _check_hmac(credentials, account.secret)
    if expiry_s <= now_s:
        raise _bad_login(f"login expired: expiry {expiry_s}, hub time {now_s}")
    if not account.enabled:
        raise _not_authorised("device is disabled")
    return identity


def _check_user_name(credentials: Credentials) -> int:
    """The expiry in seconds, once the user name is well formed and names the client id."""
    if credentials.user_name is None:
        raise _bad_login("no user name")
    fields = credentials.user_name.split(";")
    if len(fields) != 4:
        raise _bad_login("user name is not PID+DN;sdkappid;connid;expiry")
    name, sdk_app_id, _connection_id, expiry = fields
    if sdk_app_id not in SDK_APP_IDS:
        raise _bad_login("user name: unknown sdkappid")
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= MAX_EXPIRY_DIGITS):
        raise _bad_login("user name: expiry is not a number of seconds")
    if name != credentials.client_id:
        raise _not_authorised("user name and client id name different devices")
    return int(expiry)


def _check_hmac(credentials: Credentials, secret: str) -> None:
    if credentials.password is None:
        raise _bad_login("no password")
    signature, separator, algorithm = credentials.password.partition(b";")
    digest = _DIGESTS.get(algorithm.decode("latin-1").lower()) if separator else None
    if digest is None:
        raise _bad_login("password is not hex;hmacsha256 or hex;hmacsha1")
    if not hmac.compare_digest(signature, sign(secret, credentials.user_name or "", digest)):
        raise _bad_login("wrong signature")


def _check_certificate(credentials: Credentials, account: Account) -> None:
    """TLS has proved it; over wss, a signature of the user name proves it too.

    A password that claims to be a signature must be right; any other is as good as none.
    """
    signed = (credentials.password or b"").lower().endswith(_RSA_SUFFIX)
    if credentials.proof is not None:
        if credentials.proof.certificate_der != account.certificate:
            raise _not_authorised("the certificate shown is not the one issued to this device")
    elif credentials.transport != "wss" or not signed:
        raise _not_authorised("the product logs in by certificate, and none was shown")
    if signed:
        _check_rsa(credentials, account.certificate)


def _check_rsa(credentials: Credentials, certificate_der: bytes | None) -> None:
    key = x509.load_der_x509_certificate(certificate_der or b"").public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise _bad_login("an rsa-sha256 password, but the device's certificate is not RSA")
    try:
        signature = bytes.fromhex((credentials.password or b"")[: -len(_RSA_SUFFIX)].decode())
        key.verify(signature, (credentials.user_name or "").encode(), padding.PKCS1v15(), SHA256())
    except (ValueError, InvalidSignature):
        raise _bad_login("wrong rsa-sha256 signature") from None


def sign(secret: str, user_name: str, digest: Any) -> bytes:
    """The lower-case hex HMAC of a user name, keyed with the base64-decoded secret."""
    key = base64.b64decode(secret)
    return hmac.new(key, user_name.encode(), digest).hexdigest().encode()


def _bad_login(reason: str) -> Refused:
    return Refused(ConnackCode.BAD_USER_NAME_OR_PASSWORD, reason)


def _not_authorised(reason: str) -> Refused:
    return Refused(ConnackCode.NOT_AUTHORISED, reason)
