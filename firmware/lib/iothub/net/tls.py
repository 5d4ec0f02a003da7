"""TLS and DTLS 1.2 by MicroPython's `tls` module, verified: server certificate or pre-shared key,
never neither. (The `ssl` module of micropython-lib resets verification to none and hides PSK.)

Loaded to make the context of a connection (`iothub.loading`), which holds nothing of this."""

import os
import sys

import tls

from iothub.compat import const
from iothub.errors import BadInput

# The cloud's suites: PROTOCOL section 2.
_PSK_CIPHERS = ("TLS-PSK-WITH-AES-128-CBC-SHA", "TLS-PSK-WITH-AES-256-CBC-SHA")
# What CoAP servers other than the cloud may have instead.
_DTLS_PSK_CIPHERS = ("TLS-PSK-WITH-AES-128-GCM-SHA256", "TLS-PSK-WITH-AES-128-CBC-SHA256")
_MAX_PSK_BYTES = const(32)  # what MicroPython's Mbed TLS is built for
_PARSED_BYTES = const(4096)  # at the most, of a certificate with its key


def by_certificates(ca, certificate="", private_key="", datagrams=False):
    """The SSLContext that verifies the server by certificate. `ca`: trust anchors, a DER file or a
    folder of .der files. `certificate` and `private_key`: files of the device's own, in DER, for
    mutual TLS. With `datagrams` it is DTLS. Raises BadInput."""
    context = _context(datagrams)
    # One file after the other: Mbed TLS makes a copy of each.
    for anchor in _anchors(ca):
        der = read_der(anchor, "ca")
        try:
            context.load_verify_locations(der)
        except (OSError, ValueError):
            raise _refused("ca", "is not a DER certificate; make trust builds them")
    if certificate:
        der = read_der(certificate, "certificate")
        key = read_der(private_key, "private_key")
        try:
            context.load_cert_chain(der, key)
        except (OSError, ValueError):
            raise _refused("certificate", "certificate and key must be DER")
    return context


def by_pre_shared_key(identity, key, datagrams=False):
    """The SSLContext that verifies the server by a key only it can know (TLS-PSK). `identity` and
    `key` bytes. With `datagrams` it is DTLS. Raises BadInput."""
    if not psk_available():
        raise BadInput(
            "transport",
            'psk needs MicroPython 1.29, this is %s; "%s" works here'
            % (_version(), "dtls" if datagrams else "tls"),
        )
    if len(key) > _MAX_PSK_BYTES:
        raise BadInput("device_secret", 'has over 32 bytes, too long for psk; use "tls"')
    context = _context(datagrams)
    context.psk_identity = identity
    context.psk_key = key
    # Only these: a server that offers a certificate instead has not proved anything.
    wanted = list(_PSK_CIPHERS)
    if datagrams:
        known = context.get_ciphers()
        wanted += [name for name in _DTLS_PSK_CIPHERS if name in known]
    context.set_ciphers(wanted)
    return context


def psk_available():
    """Whether this firmware can do TLS-PSK (MicroPython 1.29 and newer)."""
    return hasattr(tls.SSLContext(tls.PROTOCOL_TLS_CLIENT), "psk_key")


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


def _context(datagrams):
    protocol = tls.PROTOCOL_TLS_CLIENT
    if datagrams:
        if not hasattr(tls, "PROTOCOL_DTLS_CLIENT"):
            raise BadInput("coap", "DTLS needs MicroPython 1.26, this is " + _version())
        protocol = tls.PROTOCOL_DTLS_CLIENT
    context = tls.SSLContext(protocol)
    context.verify_mode = tls.CERT_REQUIRED
    return context


def _anchors(path):
    try:
        names = [path + "/" + name for name in os.listdir(path) if name.endswith(".der")]
    except OSError:
        return [path]
    if not names:
        raise BadInput("ca", "no .der file in %s; make trust builds them" % path)
    return sorted(names)


def _refused(field, reason):
    # `tls` says the same where memory ended; this raises MemoryError.
    bytearray(_PARSED_BYTES)
    return BadInput(field, reason)


def _version():
    return ".".join([str(n) for n in sys.implementation.version[:2]])
