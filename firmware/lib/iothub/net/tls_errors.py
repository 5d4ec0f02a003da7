"""What it means when TLS fails. Loaded for that moment (net/endpoint.py)."""

from iothub.compat import const
from iothub.errors import LinkError, TlsError

# The codes of TlsError.
UNKNOWN_CA = const(2001)
EXPIRED = const(2002)
NOT_YET_VALID = const(2003)
WRONG_NAME = const(2004)
REFUSED_US = const(2005)
OUT_OF_MEMORY = const(2006)
NOT_TLS = const(2007)
FAILED = const(2008)

# How Mbed TLS tells it: a piece of its text for certificates, its number for the rest.
_TEXTS = (
    ("trusted CA", UNKNOWN_CA, "the server's certificate is from an unknown CA"),
    ("has expired", EXPIRED, "the server's certificate has expired"),
    ("in the future", NOT_YET_VALID, "the server's certificate is not valid yet"),
    ("expected CN", WRONG_NAME, "the server's certificate is for another name"),
)
_REFUSED_TEXT = "the server refused our certificate or key"
_NUMBERS = {
    -0x7780: (REFUSED_US, _REFUSED_TEXT),
    -0x7200: (NOT_TLS, "the server does not speak TLS on this port"),
    -0x7680: (UNKNOWN_CA, "no trust anchors are installed"),
    -0x2700: (UNKNOWN_CA, "the server's certificate is not accepted"),
}
# ENOMEM, and Mbed TLS' own of SSL, PK, X.509 and ECP.
_NO_MEMORY = (12, -0x7F00, -0x3F80, -0x2880, -0x4D80)
_LOW_LEVEL_MASK = const(0x7F)  # an error of a part below is added to the one above: MPI, ASN.1
_NO_MEMORY_LOW_LEVEL = (0x10, 0x6A)
_CONNECTION_ENDED = const(-0x7280)
# A fatal alert as it goes over the wire: type, version, length, level, description.
_ALERT_TYPE = const(21)
_ALERT_BYTES = const(7)


def explain(error, raw=None):
    """The LinkError for what reading, writing or wrapping raised. `raw`: the stream below TLS, as
    long as the handshake lasts."""
    if isinstance(error, ValueError):
        text = str(error)
        for piece, code, reason in _TEXTS:
            if piece in text:
                return TlsError(reason, None, code)
        return TlsError("certificate: " + text.strip(), None, FAILED)
    number = error.errno or 0
    if number in _NO_MEMORY or (number < 0 and -number & _LOW_LEVEL_MASK in _NO_MEMORY_LOW_LEVEL):
        return TlsError("not enough memory for TLS", None, OUT_OF_MEMORY)
    if number in _NUMBERS:
        code, reason = _NUMBERS[number]
        return TlsError(reason, None, code)
    if number == _CONNECTION_ENDED or number >= 0:
        if raw is not None:
            return broken_handshake(raw)
        return LinkError("connection lost", None, number if number > 0 else None)
    return TlsError("Mbed TLS error -0x%x" % -number, None, FAILED)


def broken_handshake(raw):
    """The TlsError for a connection that ended in the handshake. Without a word: usually the other
    side did not expect TLS."""
    # A server that refuses hangs up while we still send; its reason then waits unread below.
    try:
        record = raw.read(_ALERT_BYTES)
    except OSError:
        record = None
    if record and len(record) == _ALERT_BYTES and record[0] == _ALERT_TYPE:
        return TlsError(_REFUSED_TEXT, None, REFUSED_US)
    return TlsError("the connection ended during the handshake", None, NOT_TLS)
