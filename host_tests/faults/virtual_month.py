"""A month of outages in half a minute: one device, its server, and the weather between them.

    MICROPYPATH=ROOT:ROOT/firmware/lib micropython host_tests/faults/virtual_month.py
        [--days N] [--seed N] [--queue ram|flash] [--subject NAME]

Prints a line a day and one of totals; status 1 and a line FAILED when a promise was broken. The
heap is measured under MicroPython, where garbage can be told from what is kept.
"""

import gc
import sys

from iothub.mqtt import engine as mqtt
from iothub.store.flash_queue import FlashQueue

from host_tests.faults.fuzz_dice import Dice
from host_tests.faults.stay_loaded import stay_loaded
from host_tests.faults.virtual_broken import SUBJECTS
from host_tests.faults.virtual_ledger import BrokenPromise, Ledger
from host_tests.faults.virtual_server import VirtualServer
from host_tests.faults.virtual_time import Agenda
from host_tests.faults.virtual_weather import HOUR_MS, MINUTE_MS, NAMES, Weather
from host_tests.unit.iothub.memory_storage import MemoryStorage

DAY_MS = 24 * HOUR_MS
# The evening of each day is for coming back: after a refused login a device waits up to ten
# minutes, and a message of the last minute needs its round trip.
WEATHER_MS = 23 * HOUR_MS
TALK_MS = DAY_MS - 10 * MINUTE_MS
# A queue on flash that is too small for the longest outages, so that it refuses.
_FLASH_MESSAGES = 100
_FLASH_BYTES = 16384
_MESSAGES_A_DAY = 1700
_CLIENT_ID = b"PRODUCTID1dev01"
_COMMANDS = b"PRODUCTID1/dev01/control"
# Payloads around the steps of the length field and, the last, of the receive buffer.
_SIZES = (10, 20, 40, 80, 120, 200, 1500)


class Month:
    """What the application does, and sees."""

    def __init__(self, days, seed, queue, subject):
        self._days = days
        self._on_flash = queue == "flash"
        self._subject = subject
        self._agenda = Agenda()
        self._dice = Dice(seed, 0)
        self._ledger = Ledger(days * _MESSAGES_A_DAY)
        self._server = VirtualServer(self._ledger)
        self._weather = Weather(self._agenda, self._dice, self._server)
        self._storage = MemoryStorage()
        self._logins = 0
        self._talks = False
        self._first_heap_bytes = self._most_heap_bytes = 0
        self._device = subject.device_class(
            self._agenda,
            self._weather,
            self._dice.below,
            _CLIENT_ID,
            _COMMANDS,
            self._new_queue,
            self,
        )

    def _new_queue(self):
        if not self._on_flash:
            return self._subject.queue_class(drop_oldest=True)
        return FlashQueue(self._storage, max_messages=_FLASH_MESSAGES, max_bytes=_FLASH_BYTES)

    def run(self):
        """Raises BrokenPromise."""
        for day in range(1, self._days + 1):
            midnight_ms = self._agenda.now_ms
            self._weather.plan(midnight_ms + WEATHER_MS)
            if self._on_flash:
                # Now and then somebody pulls the plug, whatever goes on.
                self._agenda.after(self._dice.below(WEATHER_MS), self._device.reset)
            self._talks = True
            self._publish()
            self._command()
            self._agenda.run_until(midnight_ms + TALK_MS)
            # The largest comes every day, so that buffers have grown whenever they are measured.
            self._send_command(_SIZES[-1])
            self._talks = False
            self._agenda.run_until(midnight_ms + DAY_MS)
            if not self._device.is_idle:
                raise BrokenPromise(f"day {day} ends, and the device did not come back")
            self._ledger.close(by_acknowledgement=not self._on_flash)
            self._measure(day)
        ledger = self._ledger
        totals = (
            ("days", self._days),
            ("outages", sum(self._weather.outages)),
            ("outage_h", self._weather.outage_ms // HOUR_MS),
            ("sessions_lost", self._weather.sessions_lost),
            ("resets", self._device.resets),
            ("logins", self._logins),
            ("messages", ledger.messages),
            ("acknowledged", ledger.acknowledged),
            ("refused", ledger.refused),
            ("dropped", ledger.dropped),
            ("commands", ledger.commands),
            ("obeyed", ledger.obeyed),
            ("forgotten", ledger.forgotten),
            ("duplicates", ledger.duplicates),
            ("growth_bytes", self._most_heap_bytes - self._first_heap_bytes),
            ("digest", ledger.digest),
        )
        print("month:", *[f"{name}={value}" for name, value in totals])
        for kind in range(1, len(NAMES)):
            print(f"outages: {NAMES[kind]}={self._weather.outages[kind]}")

    def _measure(self, day):
        if not hasattr(gc, "mem_alloc"):
            return
        gc.collect()
        heap_bytes = gc.mem_alloc()
        if day == 1:  # it warms up: buffers grow to the largest message
            self._first_heap_bytes = heap_bytes
        self._most_heap_bytes = max(self._most_heap_bytes, heap_bytes)
        print(f"day {day}: heap_bytes={heap_bytes}")

    # What goes on all day

    def _publish(self):
        if self._talks:
            number = self._ledger.messages
            payload = b"%d;" % number + b"x" * self._dice.pick(_SIZES)
            self._ledger.offer(self._device.publish(payload, number))
            self._agenda.after(10000 + self._dice.below(100000), self._publish)

    def _command(self):
        if self._talks:
            self._send_command(self._dice.pick(_SIZES))
            self._agenda.after(MINUTE_MS + self._dice.below(20 * MINUTE_MS), self._command)

    def _send_command(self, size_bytes):
        payload = b"%d;" % self._ledger.commands + b"y" * size_bytes
        if self._server.send(_CLIENT_ID, _COMMANDS, payload):
            self._ledger.take_command()

    # What the device tells

    def deliver(self, topic, payload, dup):
        if topic != _COMMANDS:
            raise BrokenPromise("a message on another topic")
        self._ledger.note(self._agenda.now_ms, 1)
        self._ledger.obey(payload, dup)

    def acknowledged(self, token):
        self._ledger.note(self._agenda.now_ms, 2, token)
        self._ledger.acknowledge(token)

    def dropped(self, token):
        self._ledger.note(self._agenda.now_ms, 3, token)
        self._ledger.drop(token)

    def changed(self, what, detail):
        self._ledger.note(self._agenda.now_ms, 10 + what)
        if what == mqtt.ONLINE_AGAIN:
            self._logins += 1
        elif what == mqtt.OVERSIZE:
            # What it does without memory for a large message. A reset empties a real heap; this
            # one only gets more fragmented.
            raise BrokenPromise(f"no room for a message of {detail} bytes; give it more heap")


def main():
    stay_loaded()
    options = {"--days": "31", "--seed": "1", "--queue": "ram", "--subject": "real"}
    given = sys.argv[1:]
    while given:
        options[given[0]] = given[1]
        given = given[2:]
    month = Month(
        int(options["--days"]),
        int(options["--seed"]),
        options["--queue"],
        SUBJECTS[options["--subject"]],
    )
    try:
        month.run()
    except BrokenPromise as e:
        print("FAILED:", e)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
