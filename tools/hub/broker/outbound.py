"""The QoS 1 messages a session owes its device: stored, then in flight, then settled. Pure."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_PACKET_ID = 65535


@dataclass(slots=True)
class Owed:
    """One message. `packet_id` is 0 until it is first sent; `accepted_ms` is hub time; `retained`
    if the client gets it because it subscribed."""

    row_id: int
    topic: str
    payload: bytes
    accepted_ms: int
    packet_id: int = 0
    retained: bool = False


class Outbound:
    """Both kinds of owed message, oldest first, and the packet ids in use."""

    def __init__(self) -> None:
        self.in_flight: dict[int, Owed] = {}
        self.stored: deque[Owed] = deque()
        self._last_packet_id = 0

    def __len__(self) -> int:
        return len(self.in_flight) + len(self.stored)

    def restore(self, owed: Owed) -> None:
        """Take back a message from the database, in its order."""
        if owed.packet_id:
            self.in_flight[owed.packet_id] = owed
            self._last_packet_id = owed.packet_id
        else:
            self.stored.append(owed)

    def send(self, owed: Owed) -> None:
        """Give a message a free packet id and put it in flight."""
        packet_id = self._last_packet_id
        while True:
            packet_id = packet_id % MAX_PACKET_ID + 1
            if packet_id not in self.in_flight:
                break
        self._last_packet_id = packet_id
        owed.packet_id = packet_id
        self.in_flight[packet_id] = owed

    def acknowledge(self, packet_id: int) -> Owed | None:
        """Settle a message; None when no message in flight has this id."""
        return self.in_flight.pop(packet_id, None)

    def expire(self, is_too_old: Callable[[Owed], bool]) -> Iterator[Owed]:
        """Give up messages."""
        for owed in filter(is_too_old, list(self.stored)):
            self.stored.remove(owed)
            yield owed
        for owed in filter(is_too_old, list(self.in_flight.values())):
            del self.in_flight[owed.packet_id]
            yield owed
