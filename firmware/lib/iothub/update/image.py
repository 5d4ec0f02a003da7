"""What an update is: a file with a signed trailer at its end.

The trailer names product, board, kind, version and digest, and is signed as a whole; so it can be
judged before anything of the file is written, and the file then needs a digest only. The cloud's
own MD5 covers file and trailer.
"""

import struct
from hashlib import sha256

from iothub.compat import const
from iothub.errors import UpdateError

TRAILER_BYTES = const(512)

# Kinds. A bundle of files for a slot; an application of the ESP32 for one of its partitions.
BUNDLE = const(1)
ESP32_APPLICATION = const(2)

# What the first bytes of a file are looked at for: check_head() needs so many.
HEAD_BYTES = const(48)

MAX_KEYS = const(2)  # one in use and the next

# Magic with the format's version, kind, bytecode version (0: none), bytes of signature, bytes of
# the image without trailer, bytes of flash it unpacks to, sequence, key id, SHA-256 of the image,
# product, board, version; then zeros; behind _SIGNED_BYTES the signature, filled up with zeros.
_FIELDS = ">4sBBHIII8s32s12s20s32s"
_MAGIC = b"IHU\x01"
_SIGNED_BYTES = const(128)
_FIELDS_BYTES = const(124)

# DigestInfo of a SHA-256 digest: RFC 8017, 9.2 note 1.
_SHA256_PREFIX = b"010\r\x06\t`\x86H\x01e\x03\x04\x02\x01\x05\x00\x04 "
_EXPONENT = const(65537)
# RSA-2048 and RSA-3072.
_KEY_BYTES = (256, 384)

_BUNDLE_MAGIC = b"IHB"
_ESP32_MAGIC = const(0xE9)
# esp_app_desc_t, which the first segment begins with; in a bootloader something else is there.
_DESCRIPTOR_MAGIC = b"\x32\x54\xcd\xab"
_DESCRIPTOR_AT = const(32)
_CHIP_AT = const(12)


class Trailer:
    """kind (BUNDLE, ESP32_APPLICATION), product, board, version (str), sequence (int, which grows
    with each release), size (bytes of the image without trailer), unpacked (bytes of the slot's
    file, 0 for an application), sha256 (bytes), bytecode (the .mpy version its files have, 0:
    none), key_id (bytes) and signature (bytes; b"" unsigned)."""

    def __init__(self, data):
        (
            magic,
            self.kind,
            self.bytecode,
            signature_bytes,
            self.size,
            self.unpacked,
            self.sequence,
            self.key_id,
            self.sha256,
            product,
            board,
            version,
        ) = struct.unpack_from(_FIELDS, data)
        self.signed = bytes(data[:_SIGNED_BYTES])
        self.signature = bytes(data[_SIGNED_BYTES : _SIGNED_BYTES + signature_bytes])
        padding = self.signed[_FIELDS_BYTES:] + data[_SIGNED_BYTES + signature_bytes :]
        if magic != _MAGIC or any(padding) or signature_bytes not in (0,) + _KEY_BYTES:
            raise ValueError
        self.product = _text(product)
        self.board = _text(board)
        self.version = _text(version)


def parse(data):
    """The Trailer of a file's last TRAILER_BYTES. Raises UpdateError: what lies there is none."""
    if len(data) != TRAILER_BYTES:
        raise UpdateError("the file is shorter than a trailer")
    try:
        return Trailer(bytes(data))
    except ValueError:  # UnicodeError is one
        raise UpdateError("no trailer at the file's end")


def check(trailer, product, board, kinds, floor, file_bytes, bytecode, keys, unsigned=False):
    """Raises UpdateError with the reason unless this device may take the image.

    `product`, `board`: whose images it takes; `kinds`: {kind: bytes it has room for}; `floor`: the
    least sequence; `file_bytes` is the bytes of the file the cloud announced, with trailer (None:
    unknown); `bytecode`: sys.implementation._mpy & 255; `keys`: see load_keys(). With `unsigned`
    an image without signature is taken too; one with a wrong signature never is.
    """
    if trailer.product != product:
        raise UpdateError("made for product " + trailer.product)
    if trailer.board != board:
        raise UpdateError("made for board " + trailer.board)
    room = kinds.get(trailer.kind)
    if room is None:
        raise UpdateError("kind %d is not for this device" % trailer.kind)
    if trailer.bytecode not in (0, bytecode):
        raise UpdateError("has .mpy version %d, not %d" % (trailer.bytecode, bytecode))
    if file_bytes is not None and trailer.size + TRAILER_BYTES != file_bytes:
        raise UpdateError("the trailer is of another file")
    if trailer.size + TRAILER_BYTES > room:
        raise UpdateError("%d bytes, room for %d" % (trailer.size + TRAILER_BYTES, room))
    if trailer.sequence < floor:
        raise UpdateError("sequence %d is older than %d" % (trailer.sequence, floor))
    if trailer.signature:
        for key in keys:
            if key_id(key) == trailer.key_id:
                if is_signed(trailer, key):
                    return
                raise UpdateError("the signature is wrong")
        raise UpdateError("signed with a key this device does not have")
    if not unsigned:
        raise UpdateError("it is not signed")


def check_head(trailer, head, chip=None):
    """Raises UpdateError unless the image begins as its kind does. `head`: its first HEAD_BYTES;
    `chip`: chip_of() the application that runs now, for the kind ESP32_APPLICATION."""
    if len(head) < HEAD_BYTES:
        raise UpdateError("the image is too short")
    if trailer.kind == BUNDLE:
        if bytes(head[:3]) != _BUNDLE_MAGIC:
            raise UpdateError("not a bundle")
        return
    if head[0] != _ESP32_MAGIC:
        raise UpdateError("not an ESP32 application")
    if bytes(head[_DESCRIPTOR_AT : _DESCRIPTOR_AT + 4]) != _DESCRIPTOR_MAGIC:
        raise UpdateError("a merged file with bootloader; make ota-pack takes the application out")
    if chip is not None and chip_of(head) != chip:
        raise UpdateError("made for chip %d, not %d" % (chip_of(head), chip))


def kind_of(head):
    """The kind of an image that begins so, while its trailer is not known. Raises UpdateError."""
    if bytes(head[:3]) == _BUNDLE_MAGIC:
        return BUNDLE
    if head[0] != _ESP32_MAGIC:
        raise UpdateError("neither a bundle nor an ESP32 application")
    return ESP32_APPLICATION


def verify(trailer, digest):
    """Raises UpdateError unless `digest` is the SHA-256 (bytes) of the image without trailer."""
    if digest != trailer.sha256:
        raise UpdateError("its SHA-256 is not the one signed")


def is_signed(trailer, key):
    """Whether the trailer's signature is by `key` (bytes, the modulus): RSA PKCS#1 v1.5 with
    SHA-256 and e = 65537. The padded block is made and compared as a whole, since reading it
    leaves room for forgery."""
    size = len(key)
    modulus = int.from_bytes(key, "big")
    s = int.from_bytes(trailer.signature, "big")
    if len(trailer.signature) != size or s >= modulus:
        return False
    digest = _SHA256_PREFIX + sha256(trailer.signed).digest()
    block = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
    return pow(s, _EXPONENT, modulus).to_bytes(size, "big") == block


def key_id(key):
    """Eight bytes that name a public key."""
    return sha256(key).digest()[:8]


def load_keys(data):
    """The public keys of a key file: each two bytes of length and the modulus. Raises UpdateError:
    the file is damaged, or has no key or more than MAX_KEYS."""
    keys = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        key = bytes(data[at + 2 : at + 2 + size])
        if size not in _KEY_BYTES or len(key) != size:
            raise UpdateError("the file of update keys is damaged")
        keys.append(key)
        at += 2 + size
    if not 0 < len(keys) <= MAX_KEYS:
        raise UpdateError("the file of update keys has %d keys" % len(keys))
    return keys


def chip_of(head):
    """The chip of an ESP32 application, by its first bytes: 0 ESP32, 2 S2, 5 C3, 9 S3, 13 C6."""
    return head[_CHIP_AT] | head[_CHIP_AT + 1] << 8


def _text(field):
    """The text of a field that zeros fill up."""
    end = field.find(b"\x00")
    if end < 0:
        end = len(field)
    if not end or any(field[end:]):
        raise ValueError
    return field[:end].decode()
