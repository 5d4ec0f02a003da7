"""Asks an SNTP server for the time, over UDP. Loaded for that (net/rtc.py)."""

import asyncio
import os
import socket
from time import ticks_diff, ticks_ms

from iothub.codec import sntp
from iothub.compat import const
from iothub.errors import CLOCK, DeadlineError
from iothub.loading import for_now
from iothub.timeouts import SNTP_MS

_PORT = const(123)
_POLL_MS = const(20)


async def query(server, port=_PORT):
    """Unix time in seconds. Raises IoTHubError or OSError."""
    address = for_now("iothub.net.transport").resolve(server, port)
    nonce = os.urandom(8)
    sock = socket.socket(address[0], socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.connect(address[-1])
        sock.send(sntp.request(nonce))
        started_ms = ticks_ms()
        while ticks_diff(ticks_ms(), started_ms) < SNTP_MS:
            await asyncio.sleep_ms(_POLL_MS)
            packet = sock.read(sntp.PACKET_BYTES)
            if packet is not None:
                return sntp.answer(packet, nonce)
        raise DeadlineError("no SNTP answer in time", CLOCK)
    finally:
        sock.close()
