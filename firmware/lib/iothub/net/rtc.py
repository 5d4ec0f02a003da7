"""Makes the chip's clock plausible before a certificate is checked.

A board without a battery wakes up years ago, and every certificate is "not valid yet". The rungs,
from best to least: what the clock says, if it can be true; SNTP; the last good time that was
noted; the date this library was made. Validity is always checked; it is never skipped.
"""

import asyncio
import os
import socket
from time import ticks_diff, ticks_ms

from iothub.codec import sntp
from iothub.compat import const
from iothub.errors import DeadlineError, IoTHubError
from iothub.net import transport
from iothub.timeouts import SNTP_MS

# 2026-11-22: nothing that runs this code lives before it. Moved with each release.
BUILD_UNIX_S = 1795305600
_SNTP_PORT = const(123)
_POLL_MS = const(20)


class TimedNetwork:
    """port.Network for connections that check certificates. `chip` has rtc_unix_s() and set_rtc()
    (port/); `journal` (store/journal.py or None) holds the last good time, 4 bytes."""

    def __init__(self, network, server, chip, journal=None):
        self._network = network
        self._server = server
        self._chip = chip
        self._journal = journal

    async def up(self):
        if self._network is not None:
            await self._network.up()
        floor_s = self._floor_s()
        if self._chip.rtc_unix_s() >= floor_s:
            return
        try:
            unix_s = await query(self._server)
        except (IoTHubError, OSError):
            unix_s = 0  # no answer is no reason not to try with what we have
        self._chip.set_rtc(max(unix_s, floor_s))

    def _floor_s(self):
        noted = self._journal.load() if self._journal is not None else None
        if noted is None or len(noted) != 4:
            return BUILD_UNIX_S
        return max(BUILD_UNIX_S, int.from_bytes(noted, "big"))


async def query(server, server_port=_SNTP_PORT):
    """Unix time in seconds from an SNTP server. Raises IoTHubError or OSError."""
    address = transport.resolve(server, server_port)
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
        raise DeadlineError("no SNTP answer in time", "clock")
    finally:
        sock.close()
