"""How the cloud wants its CoAP: document "设备基于 CoAP 接入" and PROTOCOL section 2.1. Only
publishing; the vendor's C SDK is the source of everything beyond the address. Pure.

    NEW --authentication, 2.05--> AUTHENTICATED
    AUTHENTICATED --4.01--> STALE --authentication, 2.05--> RENEWED
    RENEWED --success--> AUTHENTICATED
    RENEWED --4.01--> STALE, and ServiceRefused: once is enough
"""

from iothub.compat import const
from iothub.errors import PUBLISH, BadInput, ProtocolError, ServiceRefused
from iothub.signing import SDK_APP_ID

MAX_PAYLOAD_BYTES = const(1024)  # the cloud takes 1 KB
_MAX_PATH_BYTES = const(128)
_MAX_TOKEN_BYTES = const(64)  # the cloud's has 10
_MAX_REASON_BYTES = const(60)

_URI_PATH = const(11)
_AUTHENTICATION = const(61)
_NEEDS_ANSWER = const(62)

_CONTENT = const(0x45)
_UNAUTHORISED = const(0x81)

_AUTHENTICATION_TOPIC = b"txauth9w0BAQsFA"
_AUTHENTICATION_BYTES = const(16)

NEW = const(0)
AUTHENTICATED = const(1)
STALE = const(2)
RENEWED = const(3)
NEXT_STATES = ((AUTHENTICATED,), (STALE,), (RENEWED,), (AUTHENTICATED, STALE))


class Cloud:
    """Builds requests, (options, payload) of a POST each, and reads their responses."""

    def __init__(self, identity):
        self.state = NEW
        self._prefix = identity.prefix
        self._token = b""

    @property
    def must_authenticate(self):
        return self.state in (NEW, STALE)

    def authentication(self, connection_id):
        """The request that comes first. `connection_id`: five random letters (str)."""
        payload = (SDK_APP_ID + ";" + connection_id).encode()
        payload += bytes(_AUTHENTICATION_BYTES - len(payload))
        return self._options(self._prefix + _AUTHENTICATION_TOPIC, b""), payload

    def authenticated(self, code, payload):
        """Takes the response to it. Raises ServiceRefused, ProtocolError."""
        _check(code, payload)
        if code != _CONTENT or not 0 < len(payload) <= _MAX_TOKEN_BYTES:
            raise ProtocolError("coap: no token in the answer", PUBLISH)
        self._token = payload
        self._enter(RENEWED if self.state == STALE else AUTHENTICATED)

    def publication(self, topic, payload):
        """The request that publishes to `topic` (bytes, in full). Raises BadInput."""
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise BadInput("payload", "over %d bytes" % MAX_PAYLOAD_BYTES)
        if len(topic) > _MAX_PATH_BYTES:
            raise BadInput("topic", "over %d bytes" % _MAX_PATH_BYTES)
        return self._options(topic, self._token), payload

    def published(self, code, payload):
        """Takes the response to it: whether the message is published. False: authenticate, and
        send it again. Raises ServiceRefused."""
        if code == _UNAUTHORISED:
            renewed = self.state == RENEWED
            self._enter(STALE)
            if not renewed:
                return False
        elif self.state == RENEWED:
            self._enter(AUTHENTICATED)
        _check(code, payload)
        return True

    def _options(self, path, token):
        # One Uri-Path option for the whole topic, "/" and all: what the cloud expects, not what
        # the RFC says.
        options = [(_URI_PATH, path)]
        if token:
            options.append((_AUTHENTICATION, token))
        options.append((_NEEDS_ANSWER, b"0"))
        return options

    def _enter(self, state):
        if state not in NEXT_STATES[self.state]:
            raise RuntimeError("coap login %d to %d" % (self.state, state))
        self.state = state


def _check(code, payload):
    if code >> 5 == 2:
        return
    text = "".join([chr(c) if 32 <= c < 127 else "?" for c in payload[:_MAX_REASON_BYTES]])
    reason = "CoAP %d.%02d" % (code >> 5, code & 31)
    if text:
        reason += " " + text
    raise ServiceRefused(reason, PUBLISH, (code >> 5) * 100 + (code & 31))
