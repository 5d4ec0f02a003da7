"""The signed trailer at the end of an update's file."""

import struct
from dataclasses import dataclass
from hashlib import sha256

from tools.ota.errors import OtaError
from tools.ota.keys import Key

BUNDLE = 1
ESP32_APPLICATION = 2
KINDS = {BUNDLE: "bundle for a slot", ESP32_APPLICATION: "ESP32 application"}
TRAILER_BYTES = 512

_FIELDS = ">4sBBHIII8s32s12s20s32s4x"
_MAGIC = b"IHU\x01"
_SIGNED_BYTES = struct.calcsize(_FIELDS)
_TEXT_BYTES = {"product": 12, "board": 20, "version": 32}
_MAX_SEQUENCE = 0xFFFFFFFF


@dataclass(frozen=True)
class Release:
    """What a trailer says. `board` is the build name of its MicroPython, cut to 20 characters;
    `sequence` grows with each release; `unpacked` are the bytes of the slot's file."""

    kind: int
    product: str
    board: str
    version: str
    sequence: int
    bytecode: int = 0
    unpacked: int = 0


def trailer(release: Release, image: bytes, key: Key | None) -> bytes:
    """512 bytes; without `key` unsigned. Raises OtaError for fields that do not fit."""
    for name, limit in _TEXT_BYTES.items():
        text = getattr(release, name)
        if not text or not text.isprintable() or len(text.encode()) > limit:
            raise OtaError(f"{name} {text!r}", f"1 to {limit} bytes of text.")
    if not 0 <= release.sequence <= _MAX_SEQUENCE:
        raise OtaError(f"sequence {release.sequence}", "0 to 4294967295.")
    signed = struct.pack(
        _FIELDS,
        _MAGIC,
        release.kind,
        release.bytecode,
        len(key.modulus) if key else 0,
        len(image),
        release.unpacked,
        release.sequence,
        key.key_id if key else b"",
        sha256(image).digest(),
        release.product.encode(),
        release.board.encode(),
        release.version.encode(),
    )
    signature = key.sign(signed) if key else b""
    return signed + signature.ljust(TRAILER_BYTES - _SIGNED_BYTES, b"\0")


def read_release(content: bytes) -> tuple[Release, bytes]:
    """(what the trailer of a file says, its image). Raises OtaError: it has none, or one that
    belongs to another image. Signatures are the device's business."""
    tail, image = content[-TRAILER_BYTES:], content[:-TRAILER_BYTES]
    not_ours = OtaError("this file has no trailer", "`make ota-pack` writes one.")
    if len(tail) != TRAILER_BYTES:
        raise not_ours
    fields = struct.unpack(_FIELDS, tail[:_SIGNED_BYTES])
    magic, kind, bytecode, _, size, unpacked, sequence, _, digest, *texts = fields
    if magic != _MAGIC:
        raise not_ours
    if size != len(image) or digest != sha256(image).digest():
        raise OtaError("the trailer is of another image", "Pack it again.")
    product, board, version = (text.rstrip(b"\0").decode() for text in texts)
    return Release(kind, product, board, version, sequence, bytecode, unpacked), image
