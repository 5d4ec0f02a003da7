"""What a FlashQueue does seldom: it takes up what an earlier run left, notes how far it is, and
gives up what cannot be read any more."""

import struct

from iothub.store.flash_queue import END, MAX_RECORD_BYTES, NEXT, NUMBER, UNSETTLED, parse


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


def save_mark(queue):
    """Notes where the oldest unsettled message is. Raises StorageError."""
    if queue._taken:
        segment = queue._taken[0].segment
        offset = queue._taken[0].offset
    else:
        for segment in queue._segments:
            offset = segment[NEXT]
            if offset < segment[END]:
                break
    place = struct.pack(">II", segment[NUMBER], offset)
    if place != queue._marked:
        queue._marked = place
        queue.writes += 1
        queue._mark.save(place)


def lose(queue, segment):
    """What waits in the segment was whole when it was put, or at the start, and is no more."""
    queue.corrupt += 1
    lost = segment[UNSETTLED]
    for entry in queue._taken:
        if entry.segment is segment:
            lost -= 1
    queue._bytes -= segment[END] - segment[NEXT]
    queue.unsettled -= lost
    queue._recovered = max(0, queue._recovered - lost)
    segment[NEXT] = segment[END]
    segment[UNSETTLED] -= lost
    if not segment[UNSETTLED]:
        queue._drop_segment(segment)
