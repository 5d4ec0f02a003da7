"""A slot's file, which a board reads in its place, and the bundle that unpacks to it."""

import re
import struct
import zlib
from pathlib import PurePosixPath

from tools.ota.errors import OtaError

MAIN = "main.mpy"
MAX_FILES = 256
MAX_PATH_BYTES = 64
# A window of 4 KiB: what a board can spare while it unpacks.
WBITS = 12
_SLOT = ">4sIII"
_SLOT_MAGIC = b"IHS\x01"
_ENTRY = ">II"
_BUNDLE = ">4sBxxxI"
_BUNDLE_MAGIC = b"IHB\x01"
_MPY_MAGIC = ord("M")
_PATH = re.compile(r"[A-Za-z0-9_./-]+")


def slot_file(files: dict[str, bytes]) -> bytes:
    """`files`: content by path. Raises OtaError for what a board would refuse."""
    folders = {
        str(folder) for path in files for folder in PurePosixPath(path).parents if folder.name
    }
    if MAIN not in files:
        raise OtaError(f"there is no {MAIN}", "The application begins with main.py.")
    if len(files) + len(folders) > MAX_FILES:
        raise OtaError(f"{len(files)} files and {len(folders)} folders", f"{MAX_FILES} at most.")
    entries = [(path, 0) for path in sorted(folders)]
    at = struct.calcsize(_SLOT) + struct.calcsize(_ENTRY) * (len(files) + len(folders))
    records = b""
    for path, content in sorted(files.items()):
        _check_path(path)
        entries.append((path, at + len(records)))
        name = path.encode()
        crc = zlib.crc32(content, zlib.crc32(name))
        records += bytes([len(name)]) + name + struct.pack(_ENTRY, len(content), crc) + content
    if len({zlib.crc32(path.encode()) for path, _ in entries}) != len(entries):
        raise OtaError("two paths have the same CRC-32", "Rename one of the files.")
    table = b"".join(struct.pack(_ENTRY, zlib.crc32(path.encode()), at) for path, at in entries)
    head = struct.pack(_SLOT, _SLOT_MAGIC, len(entries), at + len(records), zlib.crc32(table))
    return head + table + records


def bundle(slot: bytes) -> bytes:
    """The compressed form of a slot's file."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -WBITS, 9)
    stream = compressor.compress(slot) + compressor.flush()
    packed = struct.pack(_BUNDLE, _BUNDLE_MAGIC, WBITS, len(slot)) + stream
    assert zlib.decompress(packed[struct.calcsize(_BUNDLE) :], -WBITS) == slot
    return packed


def bytecode_of(files: dict[str, bytes]) -> int:
    """The one .mpy version of all .mpy files. Raises OtaError when they differ."""
    versions = {content[1] for path, content in files.items() if path.endswith(".mpy")}
    if len(versions) != 1 or any(
        content[0] != _MPY_MAGIC for path, content in files.items() if path.endswith(".mpy")
    ):
        raise OtaError(
            f".mpy versions {sorted(versions)}", "Compile all of it with one mpy-cross."
        )
    return versions.pop()


def _check_path(path: str) -> None:
    parts = path.split("/")
    if not _PATH.fullmatch(path) or len(path) > MAX_PATH_BYTES or {"", ".", ".."} & set(parts):
        raise OtaError(f"a board takes no file {path!r}", "Letters, digits, _ - . and 64 bytes.")
