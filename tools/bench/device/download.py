"""Downloads the same file again and again, in turns by the library's updater, beside an MQTT
session that publishes ten times a second, and by a bare loop that reads, hashes and writes:
`download.py CONFIG URL ROUNDS`, where the file lies in this folder too. Prints the microseconds of
each, a JSON object a round."""

import asyncio
import hashlib
import json
import os
import socket
import sys
from binascii import crc32
from time import ticks_diff, ticks_us

from iothub import loading

# What is loaded for a moment stays loaded: from sources it would be compiled in each round.
loading.let_go = lambda name: None

from iothub import Device  # noqa: E402
from iothub.codec.url import split_url  # noqa: E402
from iothub.net.fetch import fetch  # noqa: E402
from iothub.port.tree import Tree  # noqa: E402
from iothub.services.ota_update import Update  # noqa: E402
from iothub.update import checks  # noqa: E402
from iothub.update.download_file import FileTarget  # noqa: E402
from iothub.update.resume import Record  # noqa: E402
from iothub.update.writer import Writer  # noqa: E402

_TICK_MS = 100
_BLOCK_BYTES = 4096


class _Place:
    """Takes everything."""

    rolled_back = None

    def admit(self, trailer, head, size):
        return "file"

    def target(self, name):
        return FileTarget(Tree(os.getcwd()), "/ours")


def bare(url):
    """The MD5 of what was loaded, by a loop that does nothing else; it computes what the updater
    must, the CRC-32 that a reset is survived with included."""
    _, host, port, path = split_url(url)
    sock = socket.socket()
    sock.connect(socket.getaddrinfo(host, port)[0][-1])
    sock.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    while sock.readline() not in (b"\r\n", b""):
        pass
    md5 = hashlib.md5()
    sha256 = hashlib.sha256()
    crc = 0
    buf = bytearray(_BLOCK_BYTES)
    view = memoryview(buf)
    with open("bare", "wb") as file:
        while True:
            count = sock.readinto(buf)
            if not count:
                break
            part = view[:count]
            md5.update(part)
            sha256.update(part)
            crc = crc32(part, crc)
            file.write(part)
    sock.close()
    sha256.digest()
    return md5.digest()


async def main(config, url, rounds):
    device = Device.from_file(config)
    running = asyncio.create_task(device.run())
    await device.online()

    async def tick():
        while True:
            device.publish_nowait("event", b"x" * 32)
            await asyncio.sleep_ms(_TICK_MS)

    size = os.stat(url.split("/")[-1])[6]
    digest = bare(url)
    ota = device.ota
    ota.place = _Place()
    for _ in range(rounds):
        began_us = ticks_us()
        assert bare(url) == digest
        bare_us = ticks_diff(ticks_us(), began_us)
        ota.record = Record("1", digest, size)
        writer = Writer(ota.record, ota.place, ota.save)
        update = Update(ota, "1", url, digest, size)
        ticking = asyncio.create_task(tick())
        began_us = ticks_us()
        await fetch(ota, update, writer)
        checks.finish(writer)
        writer.close()
        ours_us = ticks_diff(ticks_us(), began_us)
        ticking.cancel()
        print(json.dumps({"bare_us": bare_us, "ours_us": ours_us}))
    await device.stop()
    await running


asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
