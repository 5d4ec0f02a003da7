"""Registration on order, one boot an order: `register_program.py [NAME_MS=N...]`.

{"path", "state"}: boots the configuration at `path`, with its state in the folder `state`.
{"cut_after": n, "is_atomic"}: loses power after so many bytes were written; a write that is cut
leaves what it had, or with `is_atomic` what was there before. Answered by "booted".
"""

import asyncio
import json
import sys

from iothub import timeouts
from told import error_fields, say

for argument in sys.argv[1:]:  # before anything reads the table
    name, _, value = argument.partition("_MS=")
    setattr(timeouts, name + "_MS", int(value))

from iothub import port  # noqa: E402
from iothub.net import register  # noqa: E402
from iothub.port.files import Files  # noqa: E402


class PowerCut(BaseException):
    pass


class Power:
    """Counts what is written, a byte each, and a step for what has no bytes."""

    def __init__(self, order):
        self.left = order.get("cut_after")
        self.is_atomic = order.get("is_atomic", False)
        self.spent = 0

    def spend(self, size):
        """How many of the bytes are written."""
        self.spent += size
        if self.left is None:
            return size
        done = min(size, self.left)
        self.left -= done
        return done

    def write(self, write, data):
        done = self.spend(len(data))
        if done == len(data):
            write(data)
            return
        if not self.is_atomic:
            write(data[:done])
        raise PowerCut

    def step(self, action, *arguments):
        if not self.spend(1):
            raise PowerCut
        action(*arguments)


class Disk(register.Disk):
    def __init__(self, power):
        self._power = power

    def write(self, path, data):
        self._power.write(lambda part: register.Disk.write(self, path, part), data)

    def blank(self, path):
        with open(path, "rb") as f:
            old = f.read()
        blanks = b" " * len(old)
        self._power.write(
            lambda part: register.Disk.write(self, path, part + old[len(part) :]), blanks
        )


class Storage(Files):
    def __init__(self, folder, power):
        super().__init__(folder)
        self._power = power

    def write(self, name, data, mode="wb"):
        self._power.write(lambda part: Files.write(self, name, part, mode), data)

    def remove(self, name):
        self._power.step(Files.remove, self, name)


async def boot(order):
    power = Power(order)
    try:
        fields = await register.from_file(
            order["path"], Storage(order["state"], power), None, port, Disk(power)
        )
    except PowerCut:
        say("booted", cut=True)
    except OSError as e:
        say("booted", text=str(e), **error_fields(e))
    else:
        say("booted", fields=fields, spent=power.spent)


async def main():
    orders = asyncio.StreamReader(sys.stdin.buffer)
    while True:
        line = await orders.readline()
        if not line:
            return
        await boot(json.loads(line))


asyncio.run(main())
