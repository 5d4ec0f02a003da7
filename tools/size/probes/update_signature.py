# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""Whether an update is signed by this key. The numbers are of the right size and belong to no key:
what the work costs does not depend on it, and the refusal comes at its end."""

import hashlib

from iothub.update import image


def _number(size):
    text = b"\xff"  # so that the modulus has all its bits
    while len(text) < size:
        text += hashlib.sha256(text).digest()
    return text[: size - 1] + b"\x01"


class _Trailer:
    """What of an image.Trailer is looked at."""

    def __init__(self, size):
        self.signed = bytes(128)
        self.signature = b"\x7f" * size


def _verification(bits):
    key = _number(bits // 8)
    trailer = _Trailer(bits // 8)

    def verify():
        if image.is_signed(trailer, key):
            raise ValueError("a signature by nobody is right")

    return "RSA-%d verification (an update's signature)" % bits, verify


ONCE = (_verification(2048), _verification(3072))
