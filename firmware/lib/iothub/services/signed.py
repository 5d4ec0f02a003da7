"""Requests of the HTTP gateway, signed, and its answers: documents "签名方法" and "设备基于 HTTP
接入", PROTOCOL section 3. Pure: time and nonce are handed in."""

import binascii
import hashlib
import json

from iothub.compat import const
from iothub.errors import ProtocolError, ServiceRefused
from iothub.loading import let_go
from iothub.signing import SHA256

RSA = "rsa-sha256"
MAX_ANSWER_BYTES = const(8192)  # a certificate with its key, encrypted, takes some 5,000

# Numbers of ours for what the gateway says in words, which the documents do not list.
WRONG_SIGNATURE = const(3001)
LIMIT_REACHED = const(3002)
UNKNOWN_NAME = const(3003)
SWITCHED_OFF = const(3004)
# Pieces of the error's code or message, lower case, without spaces, for each of these.
_PIECES = (
    "signature authfail",
    "limit exceed",
    "notexist notfound",
    "disabled notenabled switch unsupported",
)
_MAX_REASON_CHARS = const(120)


class Signer:
    """Signs with `key` (bytes): a secret's text for hmacsha256 and hmacsha1, or the device's
    private key in DER for rsa-sha256, with `between` as in rsa.sign()."""

    def __init__(self, key, algorithm=SHA256, between=None):
        self._key = key
        self._algorithm = algorithm
        self._between = between

    def fields(self, host, path, body, timestamp_s, nonce):
        """The header fields, pairs of str, of a POST of `body` (bytes) to `path`. `host` without
        a port, `nonce` from 0 to 2**31 - 2."""
        message = string_to_sign(host, path, self._algorithm, timestamp_s, nonce, body)
        # Loaded for each request.
        if self._algorithm == RSA:
            from iothub import rsa

            let_go("iothub.rsa")
            raw = rsa.sign(rsa.private_key(self._key), message, self._between)
        else:
            from iothub import signing

            let_go("iothub.signing")
            raw = signing.hmac(signing.hmac_key(self._key, self._algorithm), message)
        return (
            ("Content-Type", "application/json; charset=utf-8"),
            ("X-TC-Algorithm", self._algorithm),
            ("X-TC-Timestamp", str(timestamp_s)),
            ("X-TC-Nonce", str(nonce)),
            ("X-TC-Signature", binascii.b2a_base64(raw)[:-1].decode()),
        )


def string_to_sign(host, uri, algorithm, timestamp_s, nonce, body):
    """What an HTTP request signs (bytes); document "签名方法". `body` is exactly what is sent."""
    digest = binascii.hexlify(hashlib.sha256(body).digest()).decode()
    lines = ("POST", host, uri, "", algorithm, str(timestamp_s), str(nonce), digest)
    return "\n".join(lines).encode()


def answer(status, body, phase):
    """What the gateway answered (the dict inside "Response"), from an HTTP status and its body.
    Raises ServiceRefused with `phase`, or ProtocolError for what is no answer."""
    try:
        found = json.loads(body)["Response"]
        error = found.get("Error")
        if error is not None:
            code = str(error.get("Code", ""))
            reason = (code + ": " if code else "") + str(error.get("Message", ""))
            # Printable, and without the end of a line.
            told = repr(reason[:_MAX_REASON_CHARS])[1:-1][:_MAX_REASON_CHARS]
            raise ServiceRefused(told, phase, _number(reason, status))
        if status == 200:
            return found
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        # No JSON, another shape, or nested too deeply.
        if status == 200:
            raise ProtocolError("http: the gateway's answer is not understood", phase)
    raise ServiceRefused("HTTP status %d" % status, phase, status)


def _number(reason, status):
    text = reason.lower().replace(" ", "")
    for i in range(len(_PIECES)):
        for piece in _PIECES[i].split():
            if piece in text:
                return WRONG_SIGNATURE + i
    return status
