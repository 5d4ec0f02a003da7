"""The rows of one persistent session. A clean session has a journal that writes nothing."""

from collections.abc import Callable

from tools.hub.broker.outbound import Owed
from tools.hub.store.store import Row

Write = Callable[[str, Row], None]


def write_nothing(_sql: str, _row: Row) -> None:
    """For sessions that end with their connection."""


class SessionJournal:
    """Each method is one write, committed with everything else of its loop tick."""

    def __init__(self, device: str, write: Write) -> None:
        self._device = device
        self._write = write

    def online(self) -> None:
        self._write("INSERT OR REPLACE INTO session VALUES (?, NULL)", (self._device,))

    def offline(self, since_ms: int) -> None:
        self._write("INSERT OR REPLACE INTO session VALUES (?, ?)", (self._device, since_ms))

    def forget(self) -> None:
        for table in ("session", "subscription", "outbound", "received"):
            self._write(f"DELETE FROM {table} WHERE device = ?", (self._device,))

    def subscribed(self, topic: str, qos: int) -> None:
        self._write(
            "INSERT OR REPLACE INTO subscription VALUES (?, ?, ?)", (self._device, topic, qos)
        )

    def unsubscribed(self, topic: str) -> None:
        self._write(
            "DELETE FROM subscription WHERE device = ? AND topic = ?", (self._device, topic)
        )

    def owed(self, owed: Owed) -> None:
        self._write(
            "INSERT INTO outbound VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                owed.row_id,
                self._device,
                owed.topic,
                owed.payload,
                owed.packet_id or None,
                owed.accepted_ms,
                int(owed.retained),
            ),
        )

    def sent(self, owed: Owed) -> None:
        self._write(
            "UPDATE outbound SET packet_id = ? WHERE id = ?", (owed.packet_id, owed.row_id)
        )

    def received(self, packet_id: int) -> None:
        self._write("INSERT OR IGNORE INTO received VALUES (?, ?)", (self._device, packet_id))

    def released(self, packet_id: int) -> None:
        self._write(
            "DELETE FROM received WHERE device = ? AND packet_id = ?", (self._device, packet_id)
        )

    def settled(self, owed: Owed) -> None:
        self._write("DELETE FROM outbound WHERE id = ?", (owed.row_id,))
