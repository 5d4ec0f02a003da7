"""What happened to devices, searched (document "故障排查": the cloud's log, 云日志)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tools.hub.store import Store

MAX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What to look for; what is left out does not matter.

    `device` is PID/DN. `keyword` is a text that the details hold, in any case. Times are hub time
    in milliseconds, both included. `after` is the `next_after` of the page before.
    """

    device: str | None = None
    product_id: str | None = None
    kinds: Sequence[str] = ()
    keyword: str = ""
    from_ms: int | None = None
    until_ms: int | None = None
    newest_first: bool = False
    after: int | None = None
    limit: int = 1000


class LogEntry(NamedTuple):
    """One event (see events.py). `device` is PID/DN, or None where nobody could be named."""

    number: int
    at_ms: int
    device: str | None
    kind: str
    detail: dict[str, Any]


class LogPage(NamedTuple):
    """`next_after` is None on the last page."""

    entries: list[LogEntry]
    next_after: int | None


class DeviceLog:
    """Reads the record of events."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def search(self, query: LogQuery) -> LogPage:
        """At most MAX_ENTRIES entries in one page."""
        conditions, values = _conditions(query)
        limit = min(query.limit, MAX_ENTRIES)
        rows = self._store.query(
            "SELECT id, at_ms, device, kind, detail FROM event "
            f"WHERE {' AND '.join(conditions)} "
            f"ORDER BY id {'DESC' if query.newest_first else 'ASC'} LIMIT ?",
            [*values, limit + 1],
        )
        found = [
            LogEntry(number, at_ms, device, kind, json.loads(detail))
            for number, at_ms, device, kind, detail in rows[:limit]
        ]
        return LogPage(found, found[-1].number if len(rows) > limit and found else None)


def _conditions(query: LogQuery) -> tuple[list[str], list[int | str]]:
    """What to write behind WHERE, and its values."""
    conditions: list[str] = ["1"]
    values: list[int | str] = []

    def add(condition: str, *given: int | str) -> None:
        conditions.append(condition)
        values.extend(given)

    if query.device is not None:
        add("device = ?", query.device)
    elif query.product_id is not None:
        # From PID/ to the text after all that begin so: "0" follows "/".
        add("device > ? AND device < ?", query.product_id + "/", query.product_id + "0")
    if query.kinds:
        add(f"kind IN ({', '.join('?' * len(query.kinds))})", *query.kinds)
    if query.keyword:
        # As it is written within the JSON of the details.
        written = json.dumps(query.keyword, ensure_ascii=False)[1:-1]
        add("instr(lower(detail), lower(?)) > 0", written)
    if query.from_ms is not None:
        add("at_ms >= ?", query.from_ms)
    if query.until_ms is not None:
        add("at_ms <= ?", query.until_ms)
    if query.after is not None:
        add("id < ?" if query.newest_first else "id > ?", query.after)
    return conditions, values
