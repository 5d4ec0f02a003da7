"""An application that keeps a queue and a journal, notes what it was promised and checks what it
gets."""

from iothub.errors import QueueFull, StorageError

from host_tests.faults.power_ledger import (
    ID,
    KEPT,
    LOOSE,
    PUTTING,
    REFUSED,
    SAVED,
    SAVING,
)


class BrokenPromise(Exception):
    """What the queue or the journal did is not what it said."""


def check(condition, text):
    if not condition:
        raise BrokenPromise(text)


class Application:
    """From one start to the power cut. `ledger` is what earlier runs were promised; `moments` are
    (changes of the medium so far, what, value), to rebuild the ledger at any of them. `reached`
    counts what came to pass, by name."""

    def __init__(self, medium, ledger, subject, options, reached):
        self._medium = medium
        self.ledger = ledger
        self._subject = subject
        self._options = options
        self.moments = []
        self._reached = reached
        self._first = ledger.next_message  # what is older was put by an earlier run
        self._newest_out = -1
        self._taken = []

    def start(self):
        storage = self._storage = self._medium.open()
        queue_class, journal_class = self._subject
        ledger = self.ledger
        self._journal = journal_class(storage, "state")
        value = self._journal.load()
        check(value in (ledger.saved, ledger.saving), f"journal: {value!r}")
        self._note(SAVED, value)
        queue = self._queue = queue_class(storage, **self._options)
        check(queue.unsettled == len(queue), "accounts at start")
        if self._medium.is_atomic:
            check(queue.corrupt == 0, "corrupt segments")

    def follow(self, steps):
        for action, value in steps:
            getattr(self, action)(value)

    def put(self, size):
        number = self.ledger.next_message
        changes = len(self._medium.log)
        self._note(PUTTING, number)
        try:
            dropped = self._queue.put(_topic(number), _payload(number, size), number, number & 1)
        except QueueFull as e:
            self._note(REFUSED, number)
            self._reach(e.reason)
            return
        self._note(KEPT, number)
        older = self._newest_out
        for token in dropped:
            self._reach("dropped")
            # Those of an earlier run have no token. They are the oldest, or others that might not
            # even have been there.
            waiting = self.ledger.required(older, self._first if token is None else number)
            if token is not None:
                check(waiting and waiting[0] == token, f"dropped {token}, not the oldest")
            if waiting:
                self._note(LOOSE, waiting[0], changes)

    def take(self, _=None):
        expected = len(self._queue)
        entry = self._queue.take()
        if entry is None:
            check(expected == 0, f"{expected} wait, none comes")
            return False
        check(len(self._queue) == expected - 1, "accounts at take")
        number = _number(entry)
        ledger = self.ledger
        check(number > self._newest_out, f"{number} after {self._newest_out}")
        self._check_nothing_lost(number)
        self._newest_out = number
        known = number in ledger.kept or number in ledger.maybe
        check(known, f"{number} was refused")
        check(entry.retain == number & 1, f"retain of {number}")
        check(entry.dup == (number < self._first), f"dup of {number}")
        check(entry.token == (None if entry.dup else number), f"token of {number}")
        check(32768 <= entry.packet_id <= 65535, f"packet id {entry.packet_id}")
        check(
            ledger.ids.get(number, entry.packet_id) == entry.packet_id,
            f"another packet id for {number}",
        )
        for other in self._taken:
            check(other.packet_id != entry.packet_id, "packet id used twice")
        self._taken.append(entry)
        if number in ledger.loose:
            self._reach("settled, comes again")
        self._reach("dup" if entry.dup else "new")
        self._note(ID, (number, entry.packet_id))
        self._note(KEPT, number)
        return True

    def _check_nothing_lost(self, before):
        lost = self.ledger.required(self._newest_out, before)
        check(not lost, f"lost {lost}")

    def settle(self, which):
        if self._taken:
            entry = self._taken.pop(which % len(self._taken))
            self._note(LOOSE, _number(entry))
            self._queue.settle(entry)

    def save(self, size):
        value = b"%d " % len(self.moments) + b"v" * size
        saved = self.ledger.saved
        self._note(SAVING, value)
        try:
            self._journal.save(value)
        except StorageError as e:
            check(e.errno == 28, f"save: {e.reason}")
            self._reach("save refused")
            value = saved
        self._note(SAVED, value)

    def finish(self):
        """Until nothing waits; then nothing may be missing, and nothing lie around."""
        while self.take():
            self.settle(0)
        while self._taken:
            self.settle(-1)
        self._check_nothing_lost(self.ledger.next_message)
        check(self._queue.unsettled == 0, "accounts at the end")
        left = self._storage.names()
        if "queue.mark.a" in left:
            self._reach("mark")
        left = [name for name in left if name[:6] == "queue." and ".mark." not in name]
        check(not left, f"left over: {left}")
        self._medium.close()

    def _reach(self, what):
        self._reached[what] = self._reached.get(what, 0) + 1

    def _note(self, what, value, changes=None):
        if changes is None:
            changes = len(self._medium.log)
        self.moments.append((changes, what, value))
        self.ledger.note(what, value)


def _topic(number):
    return b"PRODUCT/device/%d" % (number % 3)


def _payload(number, size):
    return b"%d " % number + bytes([number & 255]) * size


def _number(entry):
    payload = bytes(entry.payload)
    number = int(payload[: payload.find(b" ")])
    size = len(payload) - payload.find(b" ") - 1
    check(payload == _payload(number, size), f"payload of {number}")
    check(bytes(entry.topic) == _topic(number), f"topic of {number}")
    return number
