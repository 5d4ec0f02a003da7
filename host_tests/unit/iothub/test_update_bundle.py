"""Bundles are unpacked and verified, and hostile ones refused with the reason."""

import io
import struct
from binascii import crc32

from iothub.errors import StorageError, UpdateError
from iothub.update import bundle

from host_tests.unit.iothub import bundles
from host_tests.unit.iothub.expect import raises


def unpack(packed, limit_bytes=100000, target=None):
    target = target or io.BytesIO()
    for _ in bundle.unpack(io.BytesIO(packed), bundles.inflate, target, limit_bytes):
        pass
    return target.getvalue()


def verify(slot, size=None):
    for _ in bundle.verify(io.BytesIO(slot), len(slot) if size is None else size):
        pass


def refusal(action, *arguments):
    return raises(UpdateError, action, *arguments).reason


def test_a_bundle_becomes_the_slot_it_was():
    slot = bundles.slot_file()
    verify(slot)
    assert unpack(bundles.bundle(slot)) == slot
    assert unpack(bundles.bundle(slot, 12), len(slot)) == slot


def test_a_bundle_of_more_than_a_buffer_of_blocks():
    slot = bundles.slot_file({"main.mpy": bytes(range(256)) * 500, "empty": b""})
    assert unpack(bundles.bundle(slot), 200000) == slot
    verify(slot)


def test_what_is_no_bundle_is_refused():
    packed = bundles.bundle(bundles.slot_file())
    assert refusal(unpack, packed[:11]) == "it ends early"
    for broken in (b"IHB\x02" + packed[4:], bundles.bundle(b"", 13), bundles.bundle(b"", 7)):
        assert refusal(unpack, broken) == "not a bundle this version can unpack"


def test_a_truncated_bundle_is_refused():
    slot = bundles.slot_file({"main.mpy": bytes(range(256)) * 3})
    packed = bundles.bundle(slot)
    for size in range(len(packed)):
        raises(UpdateError, unpack, packed[:size])


def test_a_bomb_is_stopped():
    slot = bundles.slot_file()
    at_most = len(slot) - 1
    assert refusal(unpack, bundles.bundle(slot), at_most).startswith("the bundle unpacks to")
    lying = bundles.bundle(slot, size=len(slot) - 1)
    target = io.BytesIO()
    assert refusal(unpack, lying, at_most, target) == "the bundle expands to more than it says"
    assert len(target.getvalue()) < len(slot)
    assert refusal(unpack, bundles.bundle(slot, size=len(slot) + 1)) == "the bundle ends early"


class FullDisk:
    def write(self, data):
        raise OSError(28, "no space left")


class NearlyFullDisk:
    def write(self, data):
        return len(data) - 1


def test_a_full_flash_is_told():
    for disk in (FullDisk(), NearlyFullDisk()):
        error = raises(StorageError, unpack, bundles.bundle(bundles.slot_file()), 100000, disk)
        assert error.errno == 28


def test_every_flipped_bit_of_a_slot_is_seen():
    slot = bundles.slot_file({"main.mpy": b"M\x06abc", "a/b.mpy": b"M\x06"})
    for at in range(len(slot)):
        flipped = bytearray(slot)
        flipped[at] ^= 1 << at % 8
        raises(UpdateError, verify, flipped)


def test_a_truncated_slot_is_refused():
    slot = bundles.slot_file()
    for size in range(0, len(slot), 7):
        raises(UpdateError, verify, slot[:size])
        raises(UpdateError, verify, slot[:size], len(slot))


def test_a_path_that_climbs_is_refused():
    for path in (
        "../boot.py", "/boot.py", "a/../../boot.py", "./a", "a//b", "a/", "a/..", "..", b"a\\b",
        b"a\x00b", b"\xff", "x" * 65, "",
    ):  # fmt: skip
        encoded = path if isinstance(path, bytes) else path.encode()
        slot = bundles.slot_file({b"main.mpy": b"", encoded: b"x"})
        assert refusal(verify, slot) == "the slot has a file with a forbidden path", path
    verify(bundles.slot_file({"main.mpy": b"", "x" * 64: b"x"}))


def test_a_slot_needs_its_program():
    assert refusal(verify, bundles.slot_file({"other.mpy": b""})) == "the slot has no main.mpy"


def test_a_table_that_lies_is_refused():
    slot = bundles.slot_file({"main.mpy": b"12345", "other.mpy": b""})

    def with_table(change):
        changed = bytearray(slot)
        change(changed)
        table = changed[16:32]
        changed[12:16] = struct.pack(">I", crc32(table))
        return changed

    def swap(changed):
        changed[16:24], changed[24:32] = changed[24:32], changed[16:24]

    verify(with_table(swap))  # its order is free

    def exchange(changed):
        changed[20:24], changed[28:32] = changed[28:32], changed[20:24]

    def twice(changed):
        changed[24:32] = changed[16:24]

    for lie in (exchange, twice):
        raises(UpdateError, verify, with_table(lie))
    table = b""
    for at in (16, 24):
        name, place = struct.unpack_from(">II", slot, at)
        table += struct.pack(">II", name, place + 8)
    table += struct.pack(">II", crc32(b"ghost.mpy"), 40)
    head = struct.pack(">4sIII", b"IHS\x01", 3, len(slot) + 8, crc32(table))
    said = refusal(verify, head + table + slot[32:])
    assert said == "the slot's table has more files than the slot"
    many = {"main.mpy": b""}
    for i in range(256):
        many["f%d" % i] = b""
    assert refusal(verify, bundles.slot_file(many)) == "the slot is no slot"
