"""Devices with one fault each, which a month must bring to light. "real" has none."""

from iothub.mqtt.backoff import Backoff
from iothub.mqtt.engine import Engine
from iothub.mqtt.packet import DUP, PUBLISH
from iothub.store.queue import RamQueue

from host_tests.faults.virtual_device import VirtualDevice


class _KeepsItsRequests(Engine):
    """A few bytes a connection are not given back: a list grows by one number."""

    def __init__(self, *arguments):
        Engine.__init__(self, *arguments)
        self.ghosts = []

    def closed(self):
        self.ghosts.append(len(self.requests_waiting))
        Engine.closed(self)


class _ForgetsItsWindow(Engine):
    """What was in flight when the link broke is not sent again."""

    def closed(self):
        Engine.closed(self)
        self.in_flight.clear()
        self._window_bytes = 0


class _HidesDup(Engine):
    """Sends again as if it were the first time."""

    def _send(self, buf):
        if buf[0] & 0xF0 == PUBLISH:
            buf[0] &= ~DUP
        Engine._send(self, buf)


class _BelievesTheSocket(Engine):
    """A message that was written counts as arrived."""

    def _launch(self, *arguments):
        Engine._launch(self, *arguments)
        self._puback(self.in_flight[-1].packet_id)


class _DropsInSilence(RamQueue):
    """Nobody is told what had to make room."""

    def put(self, *arguments):
        RamQueue.put(self, *arguments)
        return []


class _RemembersAll(RamQueue):
    """What was settled is kept, for statistics perhaps."""

    def __init__(self, **limits):
        RamQueue.__init__(self, **limits)
        self.history = []

    def settle(self, entry):
        self.history.append(entry.size_bytes)
        RamQueue.settle(self, entry)


class _GivesUp(Backoff):
    """Ten times, and never again."""

    failures = 0

    def next_ms(self):
        self.failures += 1
        wait_ms = Backoff.next_ms(self)
        return wait_ms if self.failures <= 10 else 1 << 40

    def reset(self):
        self.failures = 0
        Backoff.reset(self)


class Subject:
    """The parts of a device that can be exchanged. `leaks`: its fault shows in the heap only."""

    def __init__(
        self, engine_class=Engine, queue_class=RamQueue, backoff_class=Backoff, leaks=False
    ):
        class Device(VirtualDevice):
            pass

        Device.engine_class = engine_class
        Device.backoff_class = backoff_class
        self.device_class = Device
        self.queue_class = queue_class
        self.leaks = leaks


SUBJECTS = {
    "real": Subject(),
    "keeps_its_requests": Subject(_KeepsItsRequests, leaks=True),
    "remembers_all": Subject(queue_class=_RemembersAll, leaks=True),
    "forgets_its_window": Subject(_ForgetsItsWindow),
    "hides_dup": Subject(_HidesDup),
    "believes_the_socket": Subject(_BelievesTheSocket),
    "drops_in_silence": Subject(queue_class=_DropsInSilence),
    "gives_up": Subject(backoff_class=_GivesUp),
}
