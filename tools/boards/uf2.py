"""UF2, the format of images for RP2s, as Microsoft specified it."""

import struct
from dataclasses import dataclass

from tools.boards.errors import BoardError

BLOCK_BYTES = 512
PAYLOAD_BYTES = 256
FLASH_START = 0x10000000
_HEADER = struct.Struct("<8I")
_MAGICS = (0x0A324655, 0x9E5D5157, 0x0AB16F30)
_FAMILY_PRESENT = 0x2000
# A block that images for an RP2350 begin with, for its boot ROM alone; it counts itself as two.
_ABSOLUTE = 0xE48BFF57
_PHASE = "reading the image"
_HINT = "IMAGE is a .uf2 of MicroPython for this board."


@dataclass(frozen=True)
class Uf2:
    """The families a file is for, and its bytes in the order of their addresses."""

    families: set[int]
    code: bytes


def read_uf2(content: bytes) -> Uf2:
    """Raises BoardError for what is not UF2, or is cut."""
    if not content or len(content) % BLOCK_BYTES:
        raise BoardError(_PHASE, f"{len(content)} bytes are no whole UF2 blocks", _HINT)
    counts: dict[int, int] = {}
    parts, families = [], []
    for start in range(0, len(content), BLOCK_BYTES):
        block = content[start : start + BLOCK_BYTES]
        first, second, flags, address, size, _number, count, family = _HEADER.unpack_from(block)
        if (first, second, struct.unpack_from("<I", block, 508)[0]) != _MAGICS:
            raise BoardError(_PHASE, f"no UF2 block at byte {start}", _HINT)
        if flags & _FAMILY_PRESENT:
            families.append(family)
            counts[family] = count
        parts.append((address, block[32 : 32 + min(size, 476)]))
    for family, count in counts.items():
        if family != _ABSOLUTE and families.count(family) != count:
            reason = f"it has {families.count(family)} of {count} blocks"
            raise BoardError(_PHASE, reason, "Download it again.")
    return Uf2(set(families), b"".join(part for _, part in sorted(parts)))


def make_uf2(family: int, address: int, content: bytes) -> bytes:
    """The file that puts `content` at `address`."""
    count = -(-len(content) // PAYLOAD_BYTES)
    blocks = []
    for number in range(count):
        at = number * PAYLOAD_BYTES
        payload = content[at : at + PAYLOAD_BYTES].ljust(PAYLOAD_BYTES, b"\xff")
        header = _HEADER.pack(
            *_MAGICS[:2], _FAMILY_PRESENT, address + at, PAYLOAD_BYTES, number, count, family
        )
        blocks.append(header + payload.ljust(476, b"\0") + struct.pack("<I", _MAGICS[2]))
    return b"".join(blocks)
