"""Who is connecting: client id, user name and password judged as PROTOCOL.md 1.2 has them.

This is the hub's own reading of the documents; it shares nothing with the firmware that signs.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol

from tools.hub.identity import Identity, parse_client_id

SDK_APP_IDS = frozenset({"12010126", "21010406"})
# A signed 64-bit LONG_MAX has 19 digits; nobody sends a longer expiry.
MAX_EXPIRY_DIGITS = 20
_DIGESTS = {"hmacsha256": hashlib.sha256, "hmacsha1": hashlib.sha1}


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
    """What a CONNECT says of who it is, and the client id its transport proved, if it did."""

    client_id: str
    user_name: str | None
    password: bytes | None
    proved_identity: str | None = None


class Account(Protocol):
    """What the registry knows of a device. `secret` is base64 text, None with certificates."""

    @property
    def secret(self) -> str | None: ...
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
    if credentials.proved_identity not in (None, credentials.client_id):
        raise _not_authorised("client id differs from the identity the transport proved")
    if not directory.has_product(identity.product_id):
        raise _not_authorised("unknown product")
    account = directory.account(identity)
    if account is None:
        raise _not_authorised("unknown device")
    if credentials.proved_identity is None:
        _check_password(credentials, account)
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


def _check_password(credentials: Credentials, account: Account) -> None:
    if account.secret is None:
        raise _not_authorised("the product logs in by certificate, and none was proved")
    if credentials.password is None:
        raise _bad_login("no password")
    signature, separator, algorithm = credentials.password.partition(b";")
    digest = _DIGESTS.get(algorithm.decode("latin-1").lower()) if separator else None
    if digest is None:
        raise _bad_login("password is not hex;hmacsha256 or hex;hmacsha1")
    user_name = credentials.user_name or ""
    if not hmac.compare_digest(signature, sign(account.secret, user_name, digest)):
        raise _bad_login("wrong signature")


def sign(secret: str, user_name: str, digest: Any) -> bytes:
    """The lower-case hex HMAC of a user name, keyed with the base64-decoded secret."""
    key = base64.b64decode(secret)
    return hmac.new(key, user_name.encode(), digest).hexdigest().encode()


def _bad_login(reason: str) -> Refused:
    return Refused(ConnackCode.BAD_USER_NAME_OR_PASSWORD, reason)


def _not_authorised(reason: str) -> Refused:
    return Refused(ConnackCode.NOT_AUTHORISED, reason)
