"""Slots and bundles, written anew from the words of update/bundle.py, as tools/ota makes them."""

import io
import struct
from binascii import crc32

try:
    import deflate
except ImportError:  # CPython
    deflate = None
    import zlib  # type: ignore[import-not-found]

FILES = {
    "main.mpy": b"M\x06 main",
    "app/__init__.mpy": b"",
    "app/data.json": b'{"a": 1}' * 300,
    "iothub/errors.mpy": bytes(range(256)) * 20,
}


def slot_file(files=FILES):
    """What a bundle unpacks to. `files`: content by path (str, or bytes for a forbidden one)."""
    folders = set()
    for path in files:
        if isinstance(path, str):
            while "/" in path:
                path = path[: path.rfind("/")]
                folders.add(path)
    entries = len(files) + len(folders)
    at = 16 + 8 * entries
    table = b"".join([struct.pack(">II", crc32(name.encode()), 0) for name in sorted(folders)])
    content = b""
    for path in files:
        encoded = path.encode() if isinstance(path, str) else path
        crc = crc32(files[path], crc32(encoded))
        table += struct.pack(">II", crc32(encoded), at + len(content))
        content += bytes((len(encoded),)) + encoded
        content += struct.pack(">II", len(files[path]), crc) + files[path]
    return struct.pack(">4sIII", b"IHS\x01", entries, at + len(content), crc32(table)) + (
        table + content
    )


def bundle(slot, wbits=10, size=None):
    """The bundle of a slot's file, not compressed: as stored blocks, which need no compressor."""
    stream = b""
    for at in range(0, max(len(slot), 1), 60000):
        block = slot[at : at + 60000]
        is_last = at + 60000 >= len(slot)
        stream += struct.pack("<BHH", is_last, len(block), len(block) ^ 0xFFFF) + block
    return struct.pack(">4sBxxxI", b"IHB\x01", wbits, len(slot) if size is None else size) + stream


def inflate(file, wbits):
    """As port/updates.py has it, under CPython too."""
    if deflate is not None:
        return deflate.DeflateIO(file, deflate.RAW, wbits)
    try:
        return io.BytesIO(zlib.decompress(file.read(), -wbits))
    except zlib.error:
        raise OSError(22, "damaged")
