"""MicroPython's Unix port: the desk. The operating system owns network and clock."""

import time

from iothub.port.files import Files

_STATE_FOLDER = "state"

# There is no watchdog here; tests look at what one would have got.
watched_ms = None
feeds = 0


class Network:
    def __init__(self, settings, told=None):
        pass

    async def up(self):
        pass

    def status(self):
        return "up"


def set_rtc(unix_s):
    """The computer's clock is not ours to set; Device.clock has the time."""


def rtc_unix_s():
    return int(time.time())


def storage():
    return Files(_STATE_FOLDER)


def watch(timeout_ms):
    global watched_ms
    watched_ms = timeout_ms


def feed():
    global feeds
    feeds += 1
