"""Makes the chip's clock plausible before a certificate is checked.

A board without a battery wakes up years ago, and every certificate is "not valid yet". The rungs,
from best to least: what the clock says, if it can be true; SNTP; the last good time that was
noted; the date this library was made. Validity is always checked; it is never skipped.
"""

from iothub.errors import IoTHubError
from iothub.loading import for_now

# 2026-11-22: nothing that runs this code lives before it. Moved with each release.
BUILD_UNIX_S = 1795305600


class TimedNetwork:
    """port.Network for connections that check certificates. `chip` has rtc_unix_s() and set_rtc()
    (port/); `journal` (store/journal.py or None) holds the last good time, 4 bytes."""

    def __init__(self, network, server, chip, journal=None):
        self._network = network
        self._server = server
        self._chip = chip
        self._journal = journal
        self._unsure_floor_s = 0

    async def up(self):
        if self._network is not None:
            await self._network.up()
        rtc_s = self._chip.rtc_unix_s()
        floor_s = self._floor_s()
        # What was set here is only believed when the hub has told the time since, which is noted
        # and so raises the floor: SNTP may have been silent, or lied.
        if rtc_s >= floor_s and floor_s != self._unsure_floor_s:
            return
        self._unsure_floor_s = floor_s
        try:
            unix_s = await self._ask()
        except (IoTHubError, OSError):
            unix_s = 0  # no answer is no reason not to try with what we have
        if unix_s >= floor_s:
            self._chip.set_rtc(unix_s)
        elif rtc_s < floor_s:
            self._chip.set_rtc(floor_s)

    async def _ask(self):
        return await for_now("iothub.net.sntp").query(self._server)

    def _floor_s(self):
        noted = self._journal.load() if self._journal is not None else None
        if noted is None or len(noted) != 4:
            return BUILD_UNIX_S
        return max(BUILD_UNIX_S, int.from_bytes(noted, "big"))
