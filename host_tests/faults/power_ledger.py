"""What the application was promised, and when: the judge of what comes out after a cut."""

PUTTING = "putting"  # message: put() was called
KEPT = "kept"  # message: put() returned
REFUSED = "refused"  # message: put() raised QueueFull
LOOSE = "loose"  # message: it may be gone, or come again, since it is settled or dropped
ID = "id"  # (message, packet id): it was handed out with this id
SAVING = "saving"  # value: save() was called
SAVED = "saved"  # value: save() returned, or load() gave it


class Ledger:
    """Messages are numbered in the order they were put, values of the journal as they come."""

    def __init__(self):
        self.next_message = 0
        self.kept = set()
        self.maybe = set()  # put() had not returned when the power went
        self.loose = set()
        self.ids = {}
        self.saved = None
        self.saving = None  # save() had not returned

    def copy(self):
        other = Ledger()
        other.next_message = self.next_message
        other.kept = set(self.kept)
        other.maybe = set(self.maybe)
        other.loose = set(self.loose)
        other.ids = dict(self.ids)
        other.saved = self.saved
        other.saving = self.saving
        return other

    def note(self, what, value):
        if what == PUTTING:
            self.maybe.add(value)
            self.next_message = value + 1
        elif what == KEPT:
            self.maybe.discard(value)
            self.kept.add(value)
        elif what == REFUSED:
            self.maybe.discard(value)
        elif what == LOOSE:
            self.loose.add(value)
        elif what == ID:
            self.ids[value[0]] = value[1]
        elif what == SAVING:
            self.saving = value
        elif what == SAVED:
            self.saved = value
            self.saving = None

    def required(self, after, before):
        """Messages between these two that have to come."""
        return [
            number
            for number in range(after + 1, before)
            if number in self.kept and number not in self.loose
        ]
