"""TLS 1.2 by MicroPython's `tls` module, verified: server certificate or pre-shared key, never
neither. (The `ssl` module of micropython-lib resets verification to none and hides PSK.)"""

import gc
import os
import sys

import tls

from iothub.compat import const
from iothub.errors import BadInput, LinkError, TlsError

UNKNOWN_CA = const(2001)
EXPIRED = const(2002)
NOT_YET_VALID = const(2003)
WRONG_NAME = const(2004)
REFUSED_US = const(2005)
OUT_OF_MEMORY = const(2006)
NOT_TLS = const(2007)
FAILED = const(2008)

# The cloud's suites: PROTOCOL section 2.
_PSK_CIPHERS = ("TLS-PSK-WITH-AES-128-CBC-SHA", "TLS-PSK-WITH-AES-256-CBC-SHA")
_MAX_PSK_BYTES = const(32)  # what MicroPython's Mbed TLS is built for
# The record buffer for what comes in is one block; a handshake needs it and half as much again.
_LARGEST_BLOCK_BYTES = const(17000)

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
    -0x7F00: (OUT_OF_MEMORY, "not enough memory"),
    -0x0010: (OUT_OF_MEMORY, "not enough memory"),
    -0x7680: (UNKNOWN_CA, "no trust anchors are installed"),
    -0x2700: (UNKNOWN_CA, "the server's certificate is not accepted"),
}
_CONNECTION_ENDED = const(-0x7280)
_FIRST_NUMBER = const(-16)  # above it are the system's
# A fatal alert as it goes over the wire: type, version, length, level, description.
_ALERT_TYPE = const(21)
_ALERT_BYTES = const(7)


class Certificates:
    """Verifies the server by certificate. `anchors`: list of DER bytes. `certificate` and `key`
    (DER bytes) are the device's own, for mutual TLS."""

    def __init__(self, anchors, certificate=None, key=None):
        self._context = context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        context.verify_mode = tls.CERT_REQUIRED
        try:
            for anchor in anchors:
                context.load_verify_locations(anchor)
        except (OSError, ValueError):
            raise BadInput("ca", "is not a DER certificate; make trust builds them")
        if certificate is not None:
            try:
                context.load_cert_chain(certificate, key)
            except (OSError, ValueError):
                raise BadInput("certificate", "certificate and key must be DER")

    def wrap(self, sock, host):
        """The TLS stream over a connected non-blocking socket; its handshake goes on with the
        first reads and writes. Raises TlsError."""
        gc.collect()
        try:
            bytearray(_LARGEST_BLOCK_BYTES)
            gc.collect()
            return self._context.wrap_socket(
                sock, server_hostname=host, do_handshake_on_connect=False
            )
        except (OSError, ValueError, MemoryError) as e:
            raise explain(e)


class PreSharedKey(Certificates):
    """Verifies the server by a key only it can know (TLS-PSK). `identity` and `key` bytes."""

    def __init__(self, identity, key):
        if not psk_available():
            raise BadInput(
                "transport",
                'psk needs MicroPython 1.29, this is %s; "tls" works here'
                % ".".join([str(n) for n in sys.implementation.version[:2]]),
            )
        if len(key) > _MAX_PSK_BYTES:
            raise BadInput("device_secret", 'has over 32 bytes, too long for psk; use "tls"')
        super().__init__(())
        self._context.psk_identity = identity
        self._context.psk_key = key
        # Only these: a server that offers a certificate instead has not proved anything.
        self._context.set_ciphers(list(_PSK_CIPHERS))


def psk_available():
    """Whether this firmware can do TLS-PSK (MicroPython 1.29 and newer)."""
    return hasattr(tls.SSLContext(tls.PROTOCOL_TLS_CLIENT), "psk_key")


def load_anchors(path):
    """The trust anchors at `path`: a DER file, or a folder of .der files. Raises BadInput."""
    try:
        names = [path + "/" + name for name in os.listdir(path) if name.endswith(".der")]
    except OSError:
        names = [path]
    if not names:
        raise BadInput("ca", "no .der file in %s; make trust builds them" % path)
    return [read_der(name, "ca") for name in sorted(names)]


def read_der(path, field):
    """The bytes of a DER file; `field` names the configuration field in errors."""
    try:
        with open(path, "rb") as f:
            data = f.read()
    except OSError:
        raise BadInput(field, path + " cannot be read")
    if data[:1] != b"\x30":  # an ASN.1 SEQUENCE, as every certificate and key is
        raise BadInput(field, path + " is not DER; convert it with openssl ... -outform DER")
    return data


def explain(error, raw=None):
    """The LinkError for what reading, writing or wrapping raised. `raw`: the stream below TLS, as
    long as the handshake lasts."""
    if isinstance(error, MemoryError):
        return TlsError("not enough memory", None, OUT_OF_MEMORY)
    if isinstance(error, ValueError):
        text = str(error)
        for piece, code, reason in _TEXTS:
            if piece in text:
                return TlsError(reason, None, code)
        return TlsError("certificate: " + text.strip(), None, FAILED)
    number = error.errno
    if number == _CONNECTION_ENDED or number > _FIRST_NUMBER:
        if raw is not None:
            return broken_handshake(raw)
        return LinkError("connection lost", None, number if number > 0 else None)
    if number in _NUMBERS:
        code, reason = _NUMBERS[number]
        return TlsError(reason, None, code)
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
