"""What of a slot is sent, and what the board has already."""

import itertools
import random

from tools.deploy.parts import Entry, Part, entries_of, parts_of
from tools.ota.slot import slot_file

FILES = {
    "main.mpy": b"M\x06" + b"m" * 300,
    "app/sensor.mpy": b"M\x06sensor",
    "iothub/device.mpy": b"M\x06" + bytes(range(256)) * 9,
    "update.keys": b"",
}


def rebuilt(slot: bytes, parts: list[Part], old: bytes) -> bytes:
    content = b""
    for part in parts:
        assert part.place == len(content)
        if part.source is None:
            content += slot[part.place : part.place + part.size]
        else:
            content += old[part.source : part.source + part.size]
    return content


def test_entries_are_the_files():
    slot = slot_file(FILES)
    entries = entries_of(slot)
    assert len(entries) == len(FILES)
    for entry, path in zip(entries, sorted(FILES), strict=True):
        record = slot[entry.place : entry.place + entry.size]
        assert record.startswith(bytes([len(path)]) + path.encode())
        assert record.endswith(FILES[path])


def test_the_first_deployment_is_one_part():
    slot = slot_file(FILES)
    assert parts_of(slot, []) == [Part(0, len(slot), None)]


def test_a_changed_file_is_sent_and_the_rest_copied():
    old = slot_file(FILES)
    new = slot_file({**FILES, "app/sensor.mpy": b"M\x06another sensor"})
    parts = parts_of(new, entries_of(old))
    assert rebuilt(new, parts, old) == new
    sent = sum(part.size for part in parts if part.source is None)
    table = entries_of(new)[0].place
    assert sent == table + entries_of(new)[0].size  # app/sensor.mpy is the first
    assert len(parts) == 2


def test_any_old_slot_gives_the_new_one():
    dice = random.Random(6)
    for _ in range(200):
        old_files, new_files = (
            {
                **FILES,
                **{
                    f"app/f{dice.randrange(9)}.mpy": dice.randbytes(dice.randrange(40))
                    for _ in range(dice.randrange(9))
                },
            }
            for _ in range(2)
        )
        old, new = slot_file(old_files), slot_file(new_files)
        parts = parts_of(new, entries_of(old))
        assert rebuilt(new, parts, old) == new
        kinds = [part.source is None for part in parts]
        assert not any(a and b for a, b in itertools.pairwise(kinds))


def test_a_file_that_only_looks_the_same_by_size_is_sent():
    slot = slot_file(FILES)
    entries = [Entry(e.place, e.size, e.crc ^ 1) for e in entries_of(slot)]
    assert parts_of(slot, entries) == [Part(0, len(slot), None)]
