"""Where an update goes in tests: a flash in RAM, and a place (see iothub.net.ota) that takes
what has the right first bytes."""

from iothub.errors import UpdateError
from iothub.update import image

from host_tests.unit.iothub.signed_images import trailer_bytes

BLOCK_BYTES = 4096


class FlashTarget:
    """`blocks` of flash. `written` has what was written, as (offset, bytes), `closed` counts;
    `broken_at` is an offset that cannot be read."""

    def __init__(self, blocks):
        self.data = bytearray(blocks * BLOCK_BYTES)
        self.written = []
        self.syncs = self.closed = 0
        self.broken_at = None

    def write(self, offset, view):
        assert not offset % BLOCK_BYTES and 0 < len(view) <= BLOCK_BYTES
        assert offset + len(view) <= len(self.data)
        self.data[offset : offset + BLOCK_BYTES] = bytes(view) + b"\xff" * (
            BLOCK_BYTES - len(view)
        )
        self.written.append((offset, len(view)))

    def read(self, offset, view):
        if self.broken_at is not None and offset <= self.broken_at < offset + len(view):
            raise OSError(5, "on request")
        view[:] = self.data[offset : offset + len(view)]

    def sync(self):
        self.syncs += 1

    def close(self):
        self.closed += 1


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
