"""What a device does whose clock is in 2000: `time_program.py SCENARIO [ARGUMENT...]`. The clock
is libfaketime's, which TLS reads like any other; the test says where it is."""

import asyncio
import os
import sys
import time

from iothub import timeouts
from told import error_fields, say

timeouts.SNTP_MS = 500  # before anything reads it
timeouts.BACKOFF_FIRST_MS = timeouts.BACKOFF_LAST_MS = 200

from iothub import device as iothub_device  # noqa: E402
from iothub import port  # noqa: E402
from iothub.errors import IoTHubError  # noqa: E402
from iothub.mqtt import engine  # noqa: E402
from iothub.net import session as net_session  # noqa: E402
from iothub.net import sntp  # noqa: E402


def tell_error(event, error):
    say(event, hint=getattr(error, "hint", None), **error_fields(error))


def ask_sntp(sntp_port):
    """One SNTP request."""
    try:
        say("answered", unix_s=asyncio.run(sntp.query("127.0.0.1", int(sntp_port))))
    except (IoTHubError, OSError) as e:
        tell_error("refused", e)


def make_settable(path):
    """Gives this computer's clock what a chip has: it can be set. libfaketime reads the file
    anew at every look at the clock."""

    def set_rtc(unix_s):
        say("rtc_set", unix_s=unix_s)
        year, month, day, hour, minute, second = time.gmtime(unix_s)[:6]
        with open(path + ".new", "w") as f:
            f.write(f"@{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}\n")
        os.rename(path + ".new", path)

    port.set_rtc = set_rtc


def log_in(config, folder, clock_file="", sntp_port=9):
    """A device from its configuration, with `folder` as its flash. With `clock_file` its clock can
    be set, and SNTP is answered at `sntp_port`."""
    os.chdir(folder)
    if clock_file:
        make_settable(clock_file)
    query = sntp.query

    def query_here(server, port=0):
        return query("127.0.0.1", int(sntp_port))

    sntp.query = query_here
    device = iothub_device.Device.from_file(config, tell_event)
    _, username, _ = device._login()
    say("begins", unix_s=port.rtc_unix_s(), expiry_s=int(username.split(b";")[3]))

    async def live():
        task = asyncio.create_task(device.run())
        await asyncio.StreamReader(sys.stdin.buffer).readline()
        await device.stop()
        await task

    asyncio.run(live())


def tell_event(what, detail):
    if what == engine.ONLINE_AGAIN:
        say("login", outcome="online")
    elif what == net_session.OFFLINE:
        tell_error("login", detail)
    elif what == iothub_device.CLOCK_SET:
        say("clock_set", unix_ms=detail)


def main(scenario, *arguments):
    globals()[scenario](*arguments)


main(*sys.argv[1:])
