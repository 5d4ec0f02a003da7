"""TLS and DTLS 1.2 by MicroPython's `tls` module, verified: server certificate or pre-shared key,
never neither. (The `ssl` module of micropython-lib resets verification to none and hides PSK.)"""

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
# What CoAP servers other than the cloud may have instead.
_DTLS_PSK_CIPHERS = ("TLS-PSK-WITH-AES-128-GCM-SHA256", "TLS-PSK-WITH-AES-128-CBC-SHA256")
_MAX_PSK_BYTES = const(32)  # what MicroPython's Mbed TLS is built for
# What a handshake takes: the record buffer for what comes in, in one block, and the rest (mutual
# with RSA-2048, on an RP2040: 24.6 KB in all).
_RECORD_BYTES = const(17000)
_REST_BYTES = const(10000)

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


class Certificates:
    """Verifies the server by certificate. `anchors`: list of DER bytes. `certificate` and `key`
    (DER bytes) are the device's own, for mutual TLS. With `datagrams` it is DTLS."""

    def __init__(self, anchors, certificate=None, key=None, datagrams=False):
        protocol = _dtls() if datagrams else tls.PROTOCOL_TLS_CLIENT
        self._context = context = tls.SSLContext(protocol)
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
            # First all of it: where memory ends within the handshake, Mbed TLS may say that a
            # signature is wrong. (Not on ESP32, where TLS has a heap of its own, of which a
            # growing Python heap would take.)
            if sys.platform != "esp32":
                room = bytearray(_RECORD_BYTES), bytearray(_REST_BYTES)
                del room
                gc.collect()
            return self._context.wrap_socket(
                sock, server_hostname=host, do_handshake_on_connect=False
            )
        except (OSError, ValueError, MemoryError) as e:
            raise explain(e)


class PreSharedKey(Certificates):
    """Verifies the server by a key only it can know (TLS-PSK). `identity` and `key` bytes."""

    def __init__(self, identity, key, datagrams=False):
        if not psk_available():
            raise BadInput(
                "transport",
                'psk needs MicroPython 1.29, this is %s; "%s" works here'
                % (_version(), "dtls" if datagrams else "tls"),
            )
        if len(key) > _MAX_PSK_BYTES:
            raise BadInput("device_secret", 'has over 32 bytes, too long for psk; use "tls"')
        super().__init__((), None, None, datagrams)
        self._context.psk_identity = identity
        self._context.psk_key = key
        # Only these: a server that offers a certificate instead has not proved anything.
        wanted = list(_PSK_CIPHERS)
        if datagrams:
            known = self._context.get_ciphers()
            wanted += [name for name in _DTLS_PSK_CIPHERS if name in known]
        self._context.set_ciphers(wanted)


def psk_available():
    """Whether this firmware can do TLS-PSK (MicroPython 1.29 and newer)."""
    return hasattr(tls.SSLContext(tls.PROTOCOL_TLS_CLIENT), "psk_key")


def _dtls():
    if not hasattr(tls, "PROTOCOL_DTLS_CLIENT"):
        raise BadInput("coap", "DTLS needs MicroPython 1.26, this is " + _version())
    return tls.PROTOCOL_DTLS_CLIENT


def _version():
    return ".".join([str(n) for n in sys.implementation.version[:2]])


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
        return _out_of_memory()
    if isinstance(error, ValueError):
        text = str(error)
        for piece, code, reason in _TEXTS:
            if piece in text:
                return TlsError(reason, None, code)
        return TlsError("certificate: " + text.strip(), None, FAILED)
    number = error.errno or 0
    if number in _NO_MEMORY or (number < 0 and -number & _LOW_LEVEL_MASK in _NO_MEMORY_LOW_LEVEL):
        return _out_of_memory()
    if number in _NUMBERS:
        code, reason = _NUMBERS[number]
        return TlsError(reason, None, code)
    if number == _CONNECTION_ENDED or number >= 0:
        if raw is not None:
            return broken_handshake(raw)
        return LinkError("connection lost", None, number if number > 0 else None)
    return TlsError("Mbed TLS error -0x%x" % -number, None, FAILED)


def _out_of_memory():
    return TlsError("not enough memory for TLS", None, OUT_OF_MEMORY)


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
