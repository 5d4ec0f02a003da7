"""The one exception tree of the library.

Every error says what happened (`reason`), while doing what (`phase`) and, when asked for its
text, what to do about it (`hint`). The tree hangs below OSError, because MicroPython allows one
native base only and existing umqtt programs already catch OSError; `errno` is the code.
"""

# Phases, in the order a device meets them.
CONFIG = "config"
NETWORK = "network"
CONNECT = "connect"
LOGIN = "login"
SUBSCRIBE = "subscribe"
PUBLISH = "publish"
RECEIVE = "receive"
KEEPALIVE = "keepalive"
CLOCK = "clock"
STORAGE = "storage"
UPDATE = "update"


class IoTHubError(OSError):
    """Base of all errors. `code` becomes errno; `reason` and `phase` are short texts."""

    code = 0
    phase = ""

    def __init__(self, reason, phase=None, code=None):
        if code is None:
            code = self.code
        super().__init__(code, reason)
        self.reason = reason
        self.code = code
        if phase is not None:
            self.phase = phase

    @property
    def hint(self):
        """What to do about it, or "". The texts are loaded for this call only: text costs heap."""
        from iothub.loading import for_now

        try:
            return for_now("iothub.hints").find(type(self).__name__, self.code)
        except Exception:  # no memory, or the file is damaged: an error can be told all the same
            return ""

    def __str__(self):
        hint = self.hint
        text = self.phase + ": " + self.reason
        return text + ". " + hint if hint else text


class BadInput(IoTHubError):
    """The caller's value breaks a rule; nothing was sent. `field` names the value."""

    code = 22
    phase = CONFIG

    def __init__(self, field, rule, phase=None):
        super().__init__(field + ": " + rule, phase)
        self.field = field


class LinkError(IoTHubError):
    """The network failed: no address, refused, reset, closed. `code` is the system's errno."""

    code = 104
    phase = CONNECT


class DeadlineError(LinkError):
    """The peer did not answer in the time of iothub.timeouts."""

    code = 110


class TlsError(LinkError):
    """The TLS handshake failed; `code` tells how (the constants of net/tls_errors.py)."""

    phase = "tls"


class ProtocolError(LinkError):
    """The peer broke its protocol; the link is closed, since the stream cannot be trusted."""

    code = 71
    phase = RECEIVE


class LoginRefused(IoTHubError):
    """CONNACK with a return code other than 0. `code` is that return code, 1 to 5."""

    phase = LOGIN


class SubscribeRefused(IoTHubError):
    """SUBACK 0x80: the filter is not granted to this device."""

    code = 128
    phase = SUBSCRIBE


class ServiceRefused(IoTHubError):
    """The cloud answered a request with an error. `code` is the service's number of it: an HTTP
    status, a CoAP code as 401 for 4.01, or one that the service's module names."""

    phase = "service"


class QueueFull(IoTHubError):
    """The offline queue has no room for another message, and its policy is to refuse."""

    code = 105
    phase = PUBLISH


class StorageError(IoTHubError):
    """The flash refused to be written; what was stored before still is. `code` is the system's
    errno."""

    code = 5
    phase = STORAGE


class UpdateError(IoTHubError):
    """An update that is not taken; what runs now is untouched. `code` is what the cloud is told:
    -1 download timed out, -2 no such file, -3 the URL expired, -4 wrong MD5, -5 all else."""

    code = -5
    phase = UPDATE


class NotConnected(IoTHubError):
    """A QoS 0 message was given while there is no session; it was not sent."""

    code = 107
    phase = PUBLISH
