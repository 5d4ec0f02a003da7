"""MicroPython's Unix port: the desk. The operating system owns network and clock."""


class Network:
    def __init__(self, settings):
        pass

    async def up(self):
        pass


def set_rtc(unix_s):
    """The computer's clock is not ours to set; Device.clock has the time."""
