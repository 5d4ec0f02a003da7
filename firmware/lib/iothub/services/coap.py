"""How the cloud wants its CoAP: document "设备基于 CoAP 接入" and PROTOCOL section 2.1. Only
publishing; the vendor's C SDK is the source of everything beyond the address. Pure.

What is published carries a token, which an authentication brings. Publishing that is refused as
UNAUTHORISED is tried once more with a new one. Requests are (options, payload) of a POST each.
"""

from iothub.compat import const
from iothub.errors import PUBLISH, BadInput, ProtocolError, ServiceRefused
from iothub.loading import for_now

MAX_PAYLOAD_BYTES = const(1024)  # the cloud takes 1 KB
_MAX_PATH_BYTES = const(128)
_MAX_TOKEN_BYTES = const(64)  # the cloud's has 10
_MAX_REASON_BYTES = const(60)

_URI_PATH = const(11)
_AUTHENTICATION = const(61)
_NEEDS_ANSWER = const(62)

_CONTENT = const(0x45)
UNAUTHORISED = const(0x81)

_AUTHENTICATION_TOPIC = b"txauth9w0BAQsFA"


def authentication(prefix, connection_id):
    """The request for a token. `prefix`: the device's, "PID/DN/" (bytes); `connection_id`: five
    random letters or digits (str)."""
    payload = for_now("iothub.signing").SDK_APP_ID + ";" + connection_id + "\0\0"
    return _options(prefix + _AUTHENTICATION_TOPIC, b""), payload.encode()


def token(code, payload):
    """The token (bytes) in the response to it. Raises ServiceRefused, ProtocolError."""
    check(code, payload)
    if code != _CONTENT or not 0 < len(payload) <= _MAX_TOKEN_BYTES:
        raise ProtocolError("coap: no token in the answer", PUBLISH)
    return payload


def publication(topic, payload, token):
    """The request that publishes to `topic` (bytes, in full). Raises BadInput."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BadInput("payload", "over %d bytes" % MAX_PAYLOAD_BYTES)
    if len(topic) > _MAX_PATH_BYTES:
        raise BadInput("topic", "over %d bytes" % _MAX_PATH_BYTES)
    return _options(topic, token), payload


def check(code, payload):
    """Raises ServiceRefused unless a response (its code and payload) is a success."""
    if code >> 5 != 2:
        reason = "CoAP %d.%02d" % (code >> 5, code & 31)
        if payload:
            reason += " %r" % payload[:_MAX_REASON_BYTES]
        raise ServiceRefused(reason, PUBLISH, (code >> 5) * 100 + (code & 31))


def _options(path, token):
    # One Uri-Path option for the whole topic, "/" and all: what the cloud expects, not what the
    # RFC says.
    options = [(_URI_PATH, path), (_NEEDS_ANSWER, b"0")]
    if token:
        options.insert(1, (_AUTHENTICATION, token))
    return options
