"""Takes up the messages that an earlier run left in a FlashQueue's segments."""

import struct

from iothub.store.flash_queue import MAX_RECORD_BYTES, parse


def recover(queue):
    """Finds the segments of a queue that has none yet, and what is unsettled in them. What cannot
    be read is counted (`corrupt`) and left."""
    queue._marked = queue._mark.load()
    marked = start = 0
    if queue._marked is not None:
        marked, start = struct.unpack(">II", queue._marked)
    numbers = []
    for file in queue._storage.names():
        try:
            number = int(file[len(queue._prefix) :], 16)
        except ValueError:
            continue
        if file == queue._file(number):
            numbers.append(number)
    numbers.sort()
    # Never a number again that a mark may speak of.
    queue._last_number = max(numbers + [marked])
    for number in numbers:
        _scan(queue, number, start if number == marked else 0)
    queue._recovered = queue.unsettled


def _scan(queue, number, start):
    """Takes up a segment; before `start` all is settled."""
    end = start
    unsettled = 0
    file = queue._file(number)
    file_bytes = queue._storage.size(file)
    content = queue._storage.read(file, 0, min(file_bytes, MAX_RECORD_BYTES))
    entry = parse(content, start, number)
    while entry is not None:
        end += entry.size_bytes
        unsettled += 1
        queue._last_id = entry.packet_id
        entry = parse(content, end, number)
    queue._growing = file_bytes == end
    if not queue._growing:
        queue.corrupt += 1
    queue.unsettled += unsettled
    queue._bytes += end - start
    segment = [number, start, end, unsettled]
    queue._segments.append(segment)
    if not unsettled:
        queue._drop_segment(segment)
