"""Whether a device takes an update, before anything of it is written. Loaded for that and let go
of (iothub.loading), so these are functions of a slots.Slots."""

from iothub.compat import const
from iothub.errors import UpdateError
from iothub.loading import let_go
from iothub.update import image
from iothub.update.slots import DOWNLOAD, FILE, KEYS, PARTITION

let_go("iothub.update.image")  # here it is kept

_BLOCK_BYTES = const(4096)
_SPARE_BYTES = const(16384)  # what the file system itself and the journals may need meanwhile
_SIZE = const(3)  # in Partition.info()


def admit(slots, trailer, head, size):
    """See Slots."""
    if slots.on_trial:
        raise UpdateError("the running version has not proved itself yet")
    kind = trailer.kind if trailer else image.kind_of(head)
    rooms = _rooms(slots)
    if trailer:
        check(slots, trailer, size)
        chip = None
        if kind == image.ESP32_APPLICATION:
            running = bytearray(image.HEAD_BYTES)
            slots._chip.running_partition().readblocks(0, running, 0)
            chip = image.chip_of(running)
        image.check_head(trailer, head, chip)
        if kind == image.BUNDLE:
            _check_unpacked(slots, trailer, rooms[kind])
    elif size > rooms.get(kind, 0):
        raise UpdateError("%d bytes, room for %d" % (size, rooms.get(kind, 0)))
    return FILE if kind == image.BUNDLE else PARTITION


def check(slots, trailer, size):
    """Raises UpdateError unless the trailer, of a file of `size` bytes (None: unknown), is for
    this device."""
    chip = slots._chip
    image.check(
        trailer,
        slots._product,
        chip.BOARD,
        _rooms(slots),
        slots._state.get("floor", 0),
        size,
        chip.BYTECODE,
        _keys(slots._tree),
        slots._unsigned,
    )


def _keys(tree):
    if tree.size(KEYS) < 0:
        return ()
    with tree.open(KEYS, "rb") as file:
        return image.load_keys(file.read())


def _rooms(slots):
    """{kind: bytes of a file there is room for}."""
    rooms = {}
    tree = slots._tree
    if slots._has_slots:
        rooms[image.BUNDLE] = tree.free_bytes() + max(tree.size(DOWNLOAD), 0) - _SPARE_BYTES
    if slots._partition is not None:
        rooms[image.ESP32_APPLICATION] = slots._partition.info()[_SIZE] + image.TRAILER_BYTES
    return rooms


def _check_unpacked(slots, trailer, room):
    """Room for the slot beside the download, once the old slot is gone."""
    room -= _in_blocks(trailer.size)
    room += _in_blocks(max(slots._tree.size("/slots/" + slots._spare_slot), 0))
    if _in_blocks(trailer.unpacked) > room:
        raise UpdateError("unpacks to %d bytes, room for %d" % (trailer.unpacked, room))


def _in_blocks(size_bytes):
    return (size_bytes + _BLOCK_BYTES - 1) // _BLOCK_BYTES * _BLOCK_BYTES
