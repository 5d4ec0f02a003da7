# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""The RSA-2048 signature of the certificate login by wss. The numbers are of the right size and
belong to no key: what the work costs does not depend on it, and the refusal comes at its end."""

import hashlib

from iothub import rsa
from iothub.errors import BadInput

_HALF_BYTES = 128


def _number(seed):
    text = b""
    while len(text) < _HALF_BYTES:
        seed = hashlib.sha256(seed).digest()
        text += seed
    return int.from_bytes(text, "big") | 1 | 1 << 8 * _HALF_BYTES - 1


_p = _number(b"p")
_q = _number(b"q")
_key = _p * _q, 65537, _p, _q, _number(b"dp"), _number(b"dq"), _number(b"qinv")


def _sign():
    try:
        rsa.sign(_key, b"ABCDE12345thermostat-001;12010126;QWERT;253402300799")
    except BadInput:
        pass


ONCE = (("RSA-2048 signature (wss with a certificate)", _sign),)
