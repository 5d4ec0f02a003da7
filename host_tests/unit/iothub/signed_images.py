"""Images with signed trailers, made as tools/ota makes them but written anew: the device and the
tool must agree on bytes, not on code."""

import struct
from hashlib import sha256

from iothub import rsa

from host_tests.unit.iothub.throw_away_keys import THROW_AWAY_2048_PKCS1
from host_tests.unit.iothub.update_keys import THROW_AWAY_3072_PKCS1

PRODUCT = "PRODUCT123"
BOARD = "pico_w"
VERSION = "1.2.3"


def key_pair(der, size):
    """(private key for sign(), public key: its modulus in `size` bytes)."""
    private = rsa.private_key(der)
    return private, private[0].to_bytes(size, "big")


PRIVATE, PUBLIC = key_pair(THROW_AWAY_2048_PKCS1, 256)
LONG_PRIVATE, LONG_PUBLIC = key_pair(THROW_AWAY_3072_PKCS1, 384)


def trailer_bytes(
    image,
    kind=1,
    product=PRODUCT,
    board=BOARD,
    version=VERSION,
    sequence=7,
    bytecode=6,
    pair=(PRIVATE, PUBLIC),
    size=None,
    unpacked=0,
):
    """The trailer of `image` (bytes); `pair` None leaves it unsigned."""
    private, public = pair or (None, b"")
    signed = struct.pack(
        ">4sBBHIII8s32s12s20s32s4s",
        b"IHU\x01",
        kind,
        bytecode,
        len(public),
        len(image) if size is None else size,
        unpacked,
        sequence,
        sha256(public).digest()[:8],
        sha256(image).digest(),
        product.encode(),
        board.encode(),
        version.encode(),
        b"",
    )
    signature = b"" if pair is None else rsa.sign(private, signed)
    return signed + signature + bytes(384 - len(signature))
