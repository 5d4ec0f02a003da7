"""What became of every message, in memory that does not grow."""

import binascii

_ACCEPTED = 1
_ARRIVED = 2
_ACKNOWLEDGED = 4
_DROPPED = 8


class BrokenPromise(Exception):
    """A message was lost, or told to be where it is not, or came twice without a word."""


class Ledger:
    """Messages have numbers from 0 on, which their payloads begin with: b"17;...". Those to the
    server are messages here, those to the device commands."""

    def __init__(self, capacity):
        self._messages = bytearray(capacity)
        self._commands = bytearray(capacity)
        self.messages = 0  # offered
        self.refused = 0
        self.dropped = 0
        self.acknowledged = 0
        self.commands = 0  # taken by the server
        self.obeyed = 0
        self.forgotten = 0  # commands that the server lost with a session; some were obeyed
        self.duplicates = 0
        self.digest = 0
        self._last_arrived = -1
        self._closed = 0

    def note(self, now_ms, what, number=0):
        """What happens in detail goes into the digest only."""
        self.digest = binascii.crc32(b"%d %d %d;" % (now_ms, what, number), self.digest)

    # Messages

    def offer(self, kept):
        """The next message was offered to the device, and the application told whether it is
        kept. Returns the number of the one after."""
        if kept:
            self._messages[self.messages] |= _ACCEPTED
        else:
            self.refused += 1
        self.messages += 1
        return self.messages

    def drop(self, number):
        """The application was told that the message had to make room."""
        self._expect("drop", number, 0, _ACKNOWLEDGED | _DROPPED)
        self._messages[number] |= _DROPPED
        self.dropped += 1

    def acknowledge(self, number):
        """The application was told that the message arrived."""
        self._expect("acknowledge", number, _ARRIVED, _ACKNOWLEDGED | _DROPPED)
        self._messages[number] |= _ACKNOWLEDGED
        self.acknowledged += 1

    def arrive(self, payload, dup):
        """The server has it."""
        number = _number(payload)
        if self._messages[number] & _ARRIVED:
            self._repeat("message", number, dup)
            return
        self._expect("send", number, 0, _DROPPED)
        if number < self._last_arrived:
            raise BrokenPromise(f"message {number} came after {self._last_arrived}")
        self._last_arrived = number
        self._messages[number] |= _ARRIVED

    def _expect(self, what, number, wanted, unwanted):
        state = self._messages[number]
        if state & wanted != wanted or state & unwanted:
            raise BrokenPromise(f"{what} message {number}, in state {state}")

    def _repeat(self, kind, number, dup):
        self.duplicates += 1
        if not dup:
            raise BrokenPromise(f"{kind} {number} came twice without DUP")

    # Commands

    def take_command(self):
        """The server will deliver it, unless it loses the session."""
        self._commands[self.commands] |= _ACCEPTED
        self.commands += 1

    def obey(self, payload, dup):
        """The device's handler had it."""
        number = _number(payload)
        if self._commands[number] & _ARRIVED:
            self._repeat("command", number, dup)
            return
        if not self._commands[number] & _ACCEPTED:
            raise BrokenPromise(f"command {number} was never given")
        self._commands[number] |= _ARRIVED
        self.obeyed += 1

    # The end of a day

    def close(self, by_acknowledgement):
        """Nothing is on its way any more. Raises BrokenPromise unless every message accepted was
        acknowledged (without `by_acknowledgement`: arrived; a device that was reset does not know
        any more whom to tell) or dropped, and every command obeyed or forgotten."""
        wanted = _ACKNOWLEDGED if by_acknowledgement else _ARRIVED
        for number in range(self._closed, self.messages):
            state = self._messages[number]
            if state & _ACCEPTED and not state & (wanted | _DROPPED):
                raise BrokenPromise(f"message {number} was accepted, and is lost")
        self._closed = self.messages
        if self.obeyed + self.forgotten < self.commands:
            raise BrokenPromise(f"{self.commands - self.obeyed} commands are lost")


def _number(payload):
    return int(bytes(payload[: bytes(payload).index(b";")]))
