"""Who sent a request: the two signatures the vendor's clients make, TC3 and the older one.

TC3-HMAC-SHA256 signs method, path, query, headers and body, and travels in `Authorization`.
HmacSHA1 and HmacSHA256 sign the sorted parameters, and travel as one of them. Both name a secret
id and a time, which may differ from the hub's by five minutes.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import parse_qsl

from tools.hub.cloud.errors import CloudError

SERVICE = "iotcloud"
MAX_SKEW_S = 300
MAX_FIELDS = 2000
_TC3 = "TC3-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    rf"{_TC3} Credential=([^/,\s]+)/(\d{{4}}-\d\d-\d\d)/([^/,\s]+)/tc3_request,\s*"
    r"SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})"
)
_OLD_METHODS = {"HmacSHA1": "sha1", "HmacSHA256": "sha256"}
_UNSIGNED = "UNSIGNED-PAYLOAD"

# The secret key of a secret id, where there is one.
FindKey = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came: `query` undecoded, `headers` looked up without regard to case."""

    method: str
    host: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """What a checked request asks for. `fields` are its flat parameters; None: they are JSON."""

    action: str
    version: str
    fields: dict[str, str] | None


def check(request: HttpRequest, find_key: FindKey, now_s: int) -> Signed:
    """Raises CloudError with one of the vendor's common codes."""
    if "Authorization" in request.headers:
        return _check_tc3(request, find_key, now_s)
    return _check_old(request, find_key, now_s)


def _check_tc3(request: HttpRequest, find_key: FindKey, now_s: int) -> Signed:
    given = _AUTHORIZATION.fullmatch(request.headers["Authorization"])
    if given is None:
        raise CloudError(
            "AuthFailure.InvalidAuthorization", f"Authorization is not a {_TC3} signature"
        )
    secret_id, date, service, names, signature = given.groups()
    if not {"content-type", "host"} <= set(names.split(";")):
        raise CloudError(
            "AuthFailure.InvalidAuthorization", "content-type and host must be signed"
        )
    action, version, timestamp = (
        _named(request.headers, name) for name in ("X-TC-Action", "X-TC-Version", "X-TC-Timestamp")
    )
    signed_at_s = _check_time(timestamp, now_s)
    key = ("TC3" + _key(find_key, secret_id)).encode()
    for part in (date, service, "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    scope = f"{date}/{service}/tc3_request"
    text = "\n".join((_TC3, timestamp, scope, _sha256(_canonical(request, names))))
    expected = hmac.digest(key, text.encode(), "sha256").hex()
    day = datetime.fromtimestamp(signed_at_s, timezone.utc).strftime("%Y-%m-%d")
    if not hmac.compare_digest(signature, expected) or (date, service) != (day, SERVICE):
        raise _wrong_signature()
    return Signed(action, version, _parsed(request.query) if request.method == "GET" else None)


def _canonical(request: HttpRequest, names: str) -> bytes:
    headers = "".join(
        f"{name}:{_header(request, name).strip().lower()}\n" for name in names.split(";")
    )
    unsigned = request.headers.get("X-TC-Content-SHA256") == _UNSIGNED
    body = _UNSIGNED.encode() if unsigned else request.body
    query = request.query if request.method == "GET" else ""
    return "\n".join((request.method, "/", query, headers, names, _sha256(body))).encode()


def _check_old(request: HttpRequest, find_key: FindKey, now_s: int) -> Signed:
    sent = request.query if request.method == "GET" else request.body.decode("utf-8", "replace")
    fields = _parsed(sent)
    method = fields.get("SignatureMethod", "HmacSHA1")
    if method not in _OLD_METHODS:
        raise CloudError("InvalidParameterValue", f"SignatureMethod {method} is not known")
    signature = _named(fields, "Signature")
    action, version = _named(fields, "Action"), _named(fields, "Version")
    _check_time(_named(fields, "Timestamp"), now_s)
    _named(fields, "Nonce")
    key = _key(find_key, _named(fields, "SecretId"))
    pairs = {name.replace("_", "."): value for name, value in fields.items()}
    pairs.pop("Signature")
    listed = "&".join(f"{name}={pairs[name]}" for name in sorted(pairs))
    text = f"{request.method}{request.host}/?{listed}"
    digest = hmac.digest(key.encode(), text.encode(), _OLD_METHODS[method])
    if not hmac.compare_digest(signature.encode(), base64.b64encode(digest)):
        raise _wrong_signature()
    return Signed(action, version, fields)


def _check_time(timestamp: str, now_s: int) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", timestamp, re.ASCII):
        raise CloudError("InvalidParameterValue", "the timestamp is not a number of seconds")
    skew_s = int(timestamp) - now_s
    if abs(skew_s) > MAX_SKEW_S:
        raise CloudError(
            "AuthFailure.SignatureExpire",
            f"the timestamp is {abs(skew_s)} s {'ahead of' if skew_s > 0 else 'behind'} the "
            f"hub's clock, at most {MAX_SKEW_S} are allowed; set this computer's clock",
        )
    return int(timestamp)


def _key(find_key: FindKey, secret_id: str) -> str:
    key = find_key(secret_id)
    if key is None:
        raise CloudError(
            "AuthFailure.SecretIdNotFound",
            "the hub has no such secret id; its own is in the file that `make hub` names",
        )
    return key


def _named(values: Mapping[str, str], name: str) -> str:
    value = values.get(name)
    if not value:
        raise CloudError("MissingParameter", f"{name} is missing")
    if not value.isascii():
        raise CloudError("InvalidParameterValue", f"{name} must be ASCII")
    return value


def _header(request: HttpRequest, name: str) -> str:
    return request.host if name == "host" else request.headers.get(name, "")


def _parsed(text: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError:
        raise CloudError("InvalidParameter", f"more than {MAX_FIELDS} parameters") from None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _wrong_signature() -> CloudError:
    return CloudError(
        "AuthFailure.SignatureFailure",
        "the signature is not that of this request with the secret key of this secret id",
    )
