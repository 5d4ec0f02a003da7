"""For a battery: wakes, connects, tells, and sleeps again.

    async def tell(device):
        await device.publish("event", "...")

    cycle.run(Device.from_file("device.json"), tell, 900000)

A wake that fails (no network, no cloud, no acknowledgement) is followed by longer and longer
sleeps, so that a dead access point does not empty the battery, and a thousand devices do not come
back at once. How many have failed is kept in an ESP32's RTC memory; on a Pico in a journal, which
is written only when that changes.
"""

import asyncio
from random import getrandbits

from iothub.compat import const
from iothub.errors import BadInput, DeadlineError
from iothub.mqtt.backoff import Backoff
from iothub.port import sleep
from iothub.store.journal import Journal
from iothub.timeouts import AWAKE_MS, SLEEP_LAST_MS

# What on_event tells before the device sleeps: (for how many ms, the error that ended the wake or
# None).
ASLEEP = -7

MAX_SLEEP_MS = const(0x3FFFFFFF)  # 12 days
_MAX_FAILURES = const(20)  # counted; the sleep no longer grows then
_MAGIC = b"IS"


def run(device, work, every_ms):
    """`work(device)`, a coroutine function, is awaited once the device is online. Whatever it
    raises, and whatever lasts longer than AWAKE_MS in all, is a failure. Then the device says
    goodbye and sleeps for `every_ms`; after failures longer. Does not return. Raises BadInput."""
    # Not a float either: no chip sleeps for one, and it would be found out only then.
    if type(every_ms) is not int or not 0 < every_ms <= MAX_SLEEP_MS:
        raise BadInput("every_ms", "must be 1 to %d" % MAX_SLEEP_MS)
    load = save = sleep.rtc_memory()
    if save is None:
        journal = Journal(device.storage, "sleep", 4)
        load, save = journal.load, journal.save
    before = _failures(load())
    error = asyncio.run(_wake(device, work))
    failures = min(before + 1, _MAX_FAILURES) if error else 0
    ms = sleep_ms(every_ms, failures, _random_below)
    # Whatever fails now, it sleeps: a battery is empty in a day of being awake.
    for step in (
        lambda: failures == before or save(_record(failures)),
        lambda: device.tell(ASLEEP, (ms, error)),
        getattr(device.network, "down", lambda: None),
    ):
        try:
            step()
        except Exception as e:
            print("before the sleep:", e)
    sleep.deep_sleep(ms)


async def _wake(device, work):
    """The error that ended the wake, or None."""
    running = asyncio.create_task(device.run())
    error = None
    try:
        await asyncio.wait_for_ms(_work(device, work, running), AWAKE_MS)
    except asyncio.TimeoutError:
        error = device.last_error or DeadlineError("not done in time")
    except Exception as e:
        error = e
    await device.stop()
    return error


async def _work(device, work, running):
    while not device.is_online:
        if running.done():
            await running  # raises what is wrong with the configuration
        await asyncio.sleep_ms(20)
    await work(device)
    await device.session.flush(AWAKE_MS)


def sleep_ms(every_ms, failures, random_below):
    """How long to sleep after so many failures in a row."""
    if not failures:
        return every_ms
    ceiling_ms = every_ms
    for _ in range(failures - 1):
        ceiling_ms = min(2 * ceiling_ms, SLEEP_LAST_MS)
    longer = Backoff(random_below, min(ceiling_ms, SLEEP_LAST_MS))
    return min(every_ms + longer.next_ms(), MAX_SLEEP_MS)


def _failures(record):
    if record is None or len(record) != 4 or bytes(record[:2]) != _MAGIC:
        return 0
    count = record[2]
    return count if record[3] == count ^ 0xFF and count <= _MAX_FAILURES else 0


def _record(failures):
    return _MAGIC + bytes((failures, failures ^ 0xFF))


def _random_below(n):
    return getrandbits(30) % n
