"""What is checked of an update's file: what of it a reset has left, its trailer, whether the place
takes it, and in the end its digests. Loaded for each of these and let go of (iothub.loading), so
these are functions of a writer.Writer."""

from iothub.errors import UpdateError
from iothub.loading import for_now, let_go, load
from iothub.update.image import HEAD_BYTES
from iothub.update.writer import BLOCK_BYTES
from iothub.update_codes import WRONG_MD5


def read_again(writer):
    """After a reset: reads what the record says is in the target. A generator, since that takes
    its time; `taken` is there when it ends, or 0 if it is not what was recorded."""
    record = writer.record
    if not record.offset:
        return
    try:
        writer.target = writer.place.target(record.target)
        writer.make_block()
        while writer.taken < record.offset:
            part = writer.block[: min(BLOCK_BYTES, record.offset - writer.taken)]
            writer.target.read(writer.taken, part)
            writer.taken += len(part)
            writer.digest(part)
            yield
    except OSError:  # less of it is there, or nothing
        record.crc = ~writer.crc
    at_block = not writer.taken % BLOCK_BYTES or writer.taken == writer.image_bytes
    if writer.crc != record.crc or not at_block:
        writer.begin()


def take_tail(writer, tail):
    """The trailer (bytes), before the rest. Raises UpdateError."""
    for_now("iothub.update.image").parse(tail)  # and not kept: heap is scarce meanwhile
    writer.tail = tail
    writer.tail_first = True


def admit(writer, head):
    """Has the place judge the first HEAD_BYTES of the file, which Writer.begin_with() is given
    then. Raises UpdateError."""
    writer.close()
    record = writer.record
    image = load("iothub.update.image")  # for the place, too
    try:
        trailer = image.parse(writer.tail) if writer.tail else None
        record.target = writer.place.admit(trailer, head, record.size)
    finally:
        let_go("iothub.update.image")
    writer.target = writer.place.target(record.target)
    record.offset = 0


def finish(writer):
    """The image.Trailer, once the file is complete and right; its module is loaded and stays.
    Raises UpdateError, after which Writer.begin() is all that is left."""
    writer.md5.update(writer.tail)
    if writer.md5.digest() != writer.record.md5:
        raise UpdateError("its MD5 is not the one announced", None, WRONG_MD5)
    image = load("iothub.update.image")
    trailer = image.parse(writer.tail)
    if not writer.tail_first:  # the place has not seen it yet
        head = writer.block[:HEAD_BYTES]
        writer.target.read(0, head)
        if writer.place.admit(trailer, head, writer.record.size) != writer.record.target:
            raise UpdateError("it begins as another kind than it says")
    image.verify(trailer, writer.sha256.digest())
    writer.note()
    return trailer
