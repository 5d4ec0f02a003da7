"""What of a slot's file is sent, and what the board has already, in its other slot."""

import struct
from dataclasses import dataclass

_SLOT = struct.Struct(">4sIII")
_ENTRY = struct.Struct(">II")


@dataclass(frozen=True)
class Entry:
    """A file within a slot: where it begins, its bytes with all before its content, CRC-32 of
    path and content."""

    place: int
    size: int
    crc: int


@dataclass(frozen=True)
class Part:
    """Bytes of the new slot from `place` on; `source` is where the old one has them, or None."""

    place: int
    size: int
    source: int | None


def entries_of(slot: bytes) -> list[Entry]:
    """The files of a slot that this computer made, as they follow each other in it."""
    _, count, _, _ = _SLOT.unpack_from(slot)
    found = []
    for number in range(count):
        _, place = _ENTRY.unpack_from(slot, _SLOT.size + number * _ENTRY.size)
        if place:
            head = 1 + slot[place]
            size, crc = _ENTRY.unpack_from(slot, place + head)
            found.append(Entry(place, head + _ENTRY.size + size, crc))
    return sorted(found, key=lambda entry: entry.place)


def parts_of(slot: bytes, old: list[Entry]) -> list[Part]:
    """Covers the whole slot, in order; neighbours of one kind are one part."""
    places = {(entry.crc, entry.size): entry.place for entry in old}
    parts: list[Part] = []
    at = 0
    for entry in entries_of(slot):
        _append(parts, Part(at, entry.place - at, None))
        _append(parts, Part(entry.place, entry.size, places.get((entry.crc, entry.size))))
        at = entry.place + entry.size
    _append(parts, Part(at, len(slot) - at, None))
    return parts


def _append(parts: list[Part], part: Part) -> None:
    if not part.size:
        return
    if parts:
        last = parts[-1]
        follows = (
            part.source is None if last.source is None else part.source == last.source + last.size
        )
        if follows:
            parts[-1] = Part(last.place, last.size + part.size, last.source)
            return
    parts.append(part)
