"""MicroPython's Unix port: the desk. The operating system owns network and clock."""

import time

from iothub.port.files import Files

_STATE_FOLDER = "state"


class Network:
    def __init__(self, settings):
        pass

    async def up(self):
        pass


def set_rtc(unix_s):
    """The computer's clock is not ours to set; Device.clock has the time."""


def rtc_unix_s():
    return int(time.time())


def storage():
    return Files(_STATE_FOLDER)
