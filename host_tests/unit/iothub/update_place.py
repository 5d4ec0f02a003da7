"""Where an update goes in tests: a flash in RAM that must be erased before it is written, and a
place (see iothub.net.ota) that takes what has the right first bytes."""

from iothub.errors import UpdateError
from iothub.update import image

from host_tests.unit.iothub.signed_images import trailer_bytes

BLOCK_BYTES = 4096


class FlashTarget:
    """`blocks` of flash. `log` has the offsets that were erased and, as (offset, bytes), written;
    `broken_at` is an offset that cannot be read."""

    block_bytes = BLOCK_BYTES

    def __init__(self, blocks):
        self.capacity_bytes = blocks * BLOCK_BYTES
        self.data = bytearray(b"\xff" * self.capacity_bytes)
        self.erased = []
        self.written = []
        self.syncs = 0
        self.broken_at = None

    def erase(self, offset):
        assert not offset % BLOCK_BYTES
        self.erased.append(offset)
        self.data[offset : offset + BLOCK_BYTES] = b"\xff" * BLOCK_BYTES

    def write(self, offset, view):
        end = offset + len(view)
        assert end <= self.capacity_bytes
        assert bytes(self.data[offset:end]) == b"\xff" * len(view), "not erased"
        self.data[offset:end] = view
        self.written.append((offset, len(view)))

    def read(self, offset, view):
        if self.broken_at is not None and offset <= self.broken_at < offset + len(view):
            raise OSError(5, "on request")
        view[:] = self.data[offset : offset + len(view)]

    def sync(self):
        self.syncs += 1

    def close(self):
        pass


class Place:
    """Takes images that begin with "IHB", for a trailer of any version."""

    rolled_back = None

    def __init__(self, blocks=26):
        self.flash = FlashTarget(blocks)
        self.admitted = []
        self.installed = []

    def admit(self, trailer, head, size):
        self.admitted.append((None if trailer is None else trailer.version, bytes(head[:3]), size))
        if bytes(head[:3]) != b"IHB":
            raise UpdateError("not a bundle")
        return "slot"

    def target(self, name):
        assert name == "slot"
        return self.flash

    def install(self, trailer):
        self.installed.append(trailer.version)
        yield


def file_with_trailer(image_bytes, seed=1, version="0.2"):
    """(image, trailer): an image of so many bytes, and what belongs behind it."""
    content = bytearray(image_bytes)
    state = seed
    for i in range(image_bytes):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        content[i] = state >> 16 & 255
    content[:3] = b"IHB"
    made = bytes(content)
    trailer = trailer_bytes(made, version=version, pair=None)
    assert len(trailer) == image.TRAILER_BYTES
    return made, trailer
