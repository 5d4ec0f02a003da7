"""What an outage costs the flash: 1,000 messages put and then flushed, on LittleFS.

Prints writes to files, blocks erased and pages programmed, each a message.
"""

from iothub.store.flash_queue import FlashQueue

from host_tests.faults.power_media import LittleFs

_MESSAGES = 1000
_WINDOW = 20
_BLOCKS = 128


def main():
    medium = LittleFs(_BLOCKS)
    queue = FlashQueue(medium.open(), max_bytes=200000)
    erased = programmed = 0
    put = 0
    while put < _MESSAGES or len(queue):
        medium.log.clear()
        if put < _MESSAGES:
            queue.put(b"PRODUCT123/thermostat/data", b"x" * 100)
            put += 1
        else:
            for entry in [queue.take() for _ in range(min(_WINDOW, len(queue)))]:
                queue.settle(entry)
        for _, page in medium.log:
            if page is None:
                erased += 1
            else:
                programmed += 1
    medium.close()
    print(
        f"{_MESSAGES} messages of 100 bytes, each: {queue.writes / _MESSAGES:.3f} writes,"
        f" {erased / _MESSAGES:.3f} blocks erased, {programmed / _MESSAGES:.1f} pages programmed"
    )


if __name__ == "__main__":
    main()
