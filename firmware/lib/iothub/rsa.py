"""RSA signatures (PKCS#1 v1.5 with SHA-256) in plain integers, for the certificate login of wss.
A 2048-bit signature takes 7 s on an RP2040; nothing else here needs one."""

import hashlib

from iothub.errors import BadInput

# DigestInfo of a SHA-256 digest: RFC 8017, 9.2 note 1.
_SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")
_MAX_DEPTH = 2


def private_key(der):
    """(n, e, p, q, dp, dq, qinv) of an RSA key in DER, PKCS#1 or PKCS#8. Raises BadInput."""
    try:
        for _ in range(_MAX_DEPTH):
            fields = _sequence(der)
            if len(fields) >= 9 and all(tag == 2 for tag, _ in fields[:9]):
                n, e, _, p, q, dp, dq, qinv = [int.from_bytes(v, "big") for _, v in fields[1:9]]
                if p * q == n > 0 and e > 2:
                    return n, e, p, q, dp, dq, qinv
                break
            # PKCS#8 wraps it: version, algorithm, octet string.
            if len(fields) < 3 or fields[2][0] != 4:
                break
            der = fields[2][1]
    except (IndexError, ValueError):
        pass
    raise BadInput("private_key", "is not an RSA private key in DER")


def sign(key, message, between=None):
    """The signature (bytes) of `message`. `between()` is called between the two halves of the
    work, to feed a watchdog. The result is checked before it is given away: a fault in one half
    would reveal the key."""
    n, e, p, q, dp, dq, qinv = key
    size = _bytes_of(n)
    digest = _SHA256_PREFIX + hashlib.sha256(message).digest()
    padded = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
    m = int.from_bytes(padded, "big")
    a = pow(m % p, dp, p)
    if between is not None:
        between()
    b = pow(m % q, dq, q)
    s = b + q * (qinv * (a - b) % p)
    if pow(s, e, n) != m:
        raise BadInput("private_key", "its parts do not belong together")
    return s.to_bytes(size, "big")


def _bytes_of(n):
    size = 0
    while n:
        n >>= 8
        size += 1
    return size


def _sequence(der):
    """[(tag, content)] of a DER SEQUENCE."""
    tag, content, _ = _element(der, 0)
    if tag != 0x30:
        raise ValueError
    fields = []
    at = 0
    while at < len(content):
        tag, value, at = _element(content, at)
        fields.append((tag, value))
    return fields


def _element(der, at):
    tag = der[at]
    size = der[at + 1]
    at += 2
    if size & 0x80:
        digits = size & 0x7F
        size = int.from_bytes(der[at : at + digits], "big")
        at += digits
    if at + size > len(der):
        raise ValueError
    return tag, der[at : at + size], at + size
