"""Queues and journals with one fault each, which the power cuts must find: without them nobody
knows that they could. "real" is the thing itself."""

from iothub.store.flash_queue import FlashQueue
from iothub.store.journal import Journal


class PromisesTooEarly(FlashQueue):
    """put() returns while the message is still in RAM; the next call writes it."""

    _pending = None

    def _keep(self, *message):
        self._write()
        self._pending = message

    def peek(self):
        self._write()
        return FlashQueue.peek(self)

    def _write(self):
        if self._pending is not None:
            message = self._pending
            self._pending = None
            FlashQueue._keep(self, *message)


class ForgetsWhatIsTaken(FlashQueue):
    """Settles on flash what was only handed out."""

    def take(self):
        entry = FlashQueue.take(self)
        if entry is not None:
            FlashQueue._forget(self, entry)
            self._bytes += entry.size_bytes
            self.unsettled += 1
        return entry

    def settle(self, entry):
        self._taken.remove(entry)
        self._taken_bytes -= entry.size_bytes
        self._bytes -= entry.size_bytes
        self.unsettled -= 1


class MarksTooFar(FlashQueue):
    """Notes the next message to take as the oldest unsettled one."""

    def _save_mark(self):
        taken = self._taken
        self._taken = []
        FlashQueue._save_mark(self)
        self._taken = taken


class UsesNumbersAgain(FlashQueue):
    """Begins with the first segment number whenever no segment is left."""

    def __init__(self, *arguments, **limits):
        FlashQueue.__init__(self, *arguments, **limits)
        if not self._segments:
            self._last_number = 0


class AppendsToTornTails(FlashQueue):
    """Goes on in a segment that a cut left with garbage at its end."""

    def _segment_for(self, size_bytes):
        self._growing = bool(self._segments)
        size = self._storage.size
        self._storage.size = lambda name: self._segments[-1][2]
        try:
            return FlashQueue._segment_for(self, size_bytes)
        finally:
            self._storage.size = size


class HidesRepeats(FlashQueue):
    """Does not mark what may have been sent before."""

    def _read(self, segment):
        self._recovered = 0
        return FlashQueue._read(self, segment)


class RemovesFirst(Journal):
    """One file, which is removed before it is written."""

    def save(self, payload):
        self._newest = 1
        if self._storage.size(self._names[0]) >= 0:
            self._storage.remove(self._names[0])
        Journal.save(self, payload)


class OneSlot(Journal):
    """One file, written in place."""

    def save(self, payload):
        self.load()
        self._newest = 1
        Journal.save(self, payload)


class TrustsTheNumber(Journal):
    """Takes the newer of two records without looking whether it is whole."""

    def load(self):
        records = [self._storage.read(name) or b"" for name in self._names]
        self._newest = 0 if records[0][3:5] > records[1][3:5] else 1
        newest = records[self._newest]
        self._sequence = int.from_bytes(newest[3:5], "big")
        return newest[11:] if newest else None


SUBJECTS = {"real": (FlashQueue, Journal)}
for _queue in (
    PromisesTooEarly,
    ForgetsWhatIsTaken,
    MarksTooFar,
    UsesNumbersAgain,
    AppendsToTornTails,
    HidesRepeats,
):
    SUBJECTS[_queue.__name__] = (_queue, Journal)
for _journal in (RemovesFirst, OneSlot, TrustsTheNumber):
    SUBJECTS[_journal.__name__] = (FlashQueue, _journal)
