"""Asks the cloud for the time, and what follows from the answer. Loaded for each of these moments
and let go of (iothub.loading)."""

import asyncio
from time import ticks_diff, ticks_ms

from iothub import port
from iothub.device import CLOCK_SET
from iothub.loading import let_go
from iothub.services.ntp import REQUEST_FAMILY, Ntp
from iothub.signing import FAR_FUTURE_S
from iothub.timeouts import LOGIN_VALID_S, TIME_ANSWER_MS

let_go("iothub.services.ntp")


async def ask(device):
    """Takes the answer, if one comes in time. Raises NotConnected and its kind."""
    ntp = Ntp(ticks_diff)
    set_rtc = port.set_rtc  # its code: where the answer comes, the stack has no room to load it
    let_go("iothub.port.rtc")

    def hear(payload, ticks):
        unix_ms = ntp.answer(payload, ticks)
        if unix_ms is not None:
            device.clock.set(unix_ms, ticks, (ntp.round_trip_ms + 1) // 2)
            device._distrust_clock = False
            now_s = device.clock.now_s()
            set_rtc(now_s)
            if device._time_journal is not None:
                device._time_journal.save(now_s.to_bytes(4, "big"))
            device.tell(CLOCK_SET, unix_ms)

    device._hear_time = hear
    try:
        topic = device.identity.system_topic(REQUEST_FAMILY)
        device.session.publish_nowait(topic, ntp.request(ticks_ms()))
        await asyncio.sleep_ms(TIME_ANSWER_MS)
    finally:
        device._hear_time = None


def login_expiry_s(device):
    """Until when a login that is made now is to be valid."""
    device._expiry_from_clock = device.clock.known and not device._distrust_clock
    if device._expiry_from_clock:
        return device.clock.now_s() + LOGIN_VALID_S
    return FAR_FUTURE_S
