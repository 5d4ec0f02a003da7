"""Actions that search: what happened to devices, what they published, what they logged.

Keywords are `key:value` and plain words, with spaces between; all of them have to be found.
"""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from tools.hub import events
from tools.hub.cloud.actions import V2018, Action, Actions
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import Parameters
from tools.hub.device_log import DeviceLog, LogEntry, LogPage, LogQuery
from tools.hub.identity import Identity, parse_path
from tools.hub.store import Store

MAX_ENTRIES = 500
MAX_KEYWORDS_CHARS = 500
# What one search reads at most; it then says that there may be more.
_MAX_SCANNED = 20_000
_SCAN_ROWS = 1000
_LEVELS = {"ERROR": "ERR", "WARN": "WRN", "WARNING": "WRN", "INFO": "INF", "DEBUG": "DBG"}
# As the older version writes some fields.
_OLD_NAMES = {
    "log": {"DeviceName": "Devicename", "ProductId": "Productid", "RequestId": "Requestid"},
    "payload": {
        "ProductId": "ProductID",
        "RequestId": "RequestID",
        "PayloadFormatType": "PayloadFmtType",
    },
    "sdk": {"ProductId": "ProductID"},
}


class Logs:
    """Over the record of events and of messages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._log = DeviceLog(store)

    def actions(self) -> Actions:
        return {
            "ListLog": Action(self._list),
            "ListSDKLog": Action(self._list_sdk),
            "ListLogPayload": Action(self._list_payloads),
        }

    async def _list(self, parameters: Parameters) -> dict[str, Any]:
        search = _Search(parameters)
        kinds = (search.keys["scene"].lower(),) if "scene" in search.keys else ()
        found, context = self._scan(search, kinds)
        results = [_log_item(entry) for entry in found]
        return _answer(parameters, "log", results, context)

    async def _list_sdk(self, parameters: Parameters) -> dict[str, Any]:
        search = _Search(parameters)
        level = search.keys.get("loglevel", "").upper()
        if level:
            search.words.append(f'"level":"{_LEVELS.get(level, level)}"')
        found, context = self._scan(search, (events.DEVICE_LOG,))
        results = [
            {
                **_who(entry.device),
                "Level": entry.detail.get("level", ""),
                "DateTime": _time(entry.at_ms),
                "Content": entry.detail.get("text", ""),
            }
            for entry in found
        ]
        return _answer(parameters, "sdk", results, context)

    def _scan(
        self, search: "_Search", kinds: tuple[str, ...]
    ) -> tuple[list[LogEntry], int | None]:
        """The entries that hold every word, and where the next search goes on."""
        query = LogQuery(
            device=search.device,
            product_id=search.product_id,
            kinds=kinds,
            from_ms=search.from_ms,
            until_ms=search.until_ms,
            newest_first=True,
            after=search.after,
            limit=_SCAN_ROWS,
        )
        found: list[LogEntry] = []
        for _ in range(_MAX_SCANNED // _SCAN_ROWS):
            page: LogPage = self._log.search(query)
            for entry in page.entries:
                if search.matches(entry):
                    found.append(entry)
                    if len(found) == search.limit:
                        return found, entry.number
            if page.next_after is None:
                return found, None
            query = replace(query, after=page.next_after)
        return found, query.after

    async def _list_payloads(self, parameters: Parameters) -> dict[str, Any]:
        """What devices published, newest first."""
        search = _Search(parameters)
        conditions, values = ["at_ms BETWEEN ? AND ?"], [search.from_ms, search.until_ms]
        if search.after is not None:
            conditions.append("id < ?")
            values.append(search.after)
        rows = self._store.query(
            "SELECT id, at_ms, device, topic, payload FROM message "
            f"WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?",
            [*values, _MAX_SCANNED + 1],
        )
        results: list[dict[str, Any]] = []
        context = rows[-1][0] if len(rows) > _MAX_SCANNED else None
        for number, at_ms, device, topic, payload in rows[:_MAX_SCANNED]:
            shown = _payload_item(number, at_ms, device, topic, payload)
            if search.is_of(device) and search.holds(f"{topic} {shown['Payload']}", number):
                results.append(shown)
                if len(results) == search.limit:
                    context = number if number != rows[-1][0] else None
                    break
        return _answer(parameters, "payload", results, context)


class _Search:
    """What is asked for. Raises CloudError for what cannot be."""

    def __init__(self, parameters: Parameters) -> None:
        self.from_ms = parameters.integer("MinTime")
        self.until_ms = parameters.integer("MaxTime")
        self.limit = parameters.integer("MaxNum", 100, 1, MAX_ENTRIES)
        context = parameters.text("Context", "")
        if context and not (context.isascii() and context.isdigit() and len(context) <= 18):
            raise CloudError("InvalidParameterValue", "Context is what the search before gave")
        self.after = int(context) if context else None
        keywords = parameters.text("Keywords", "")
        if len(keywords) > MAX_KEYWORDS_CHARS:
            raise CloudError(
                "InvalidParameterValue", f"Keywords has at most {MAX_KEYWORDS_CHARS} characters"
            )
        self.keys: dict[str, str] = {}
        self.words: list[str] = []
        for part in keywords.split():
            key, colon, value = part.partition(":")
            if colon and key.lower() in _KEYS:
                self.keys[key.lower()] = value
            else:
                self.words.append(part)
        self.product_id = self.keys.get("productid")
        self.words += [self.keys[key] for key in ("content", "topic") if key in self.keys]

    @property
    def device(self) -> str | None:
        """PID/DN where both were given."""
        name = self.keys.get("devicename")
        return f"{self.product_id}/{name}" if self.product_id and name else None

    def is_of(self, device: str | None) -> bool:
        product_id, _, name = (device or "/").partition("/")
        wanted = self.product_id, self.keys.get("devicename")
        return wanted[0] in (None, product_id) and wanted[1] in (None, name)

    def matches(self, entry: LogEntry) -> bool:
        detail = json.dumps(entry.detail, ensure_ascii=False, separators=(",", ":"))
        request_id = entry.detail.get("request_id", entry.number)
        return self.is_of(entry.device) and self.holds(f"{entry.kind} {detail}", request_id)

    def holds(self, text: str, request_id: Any) -> bool:
        lower = text.lower()
        asked = self.keys.get("requestid")
        return asked in (None, str(request_id)) and all(w.lower() in lower for w in self.words)


_KEYS = frozenset(
    ("requestid", "productid", "devicename", "scene", "content", "topic", "loglevel")
)


def _log_item(entry: LogEntry) -> dict[str, Any]:
    return {
        **_who(entry.device),
        "Time": _time(entry.at_ms),
        "Scene": entry.kind.upper(),
        "RequestId": str(entry.detail.get("request_id", entry.number)),
        "Content": json.dumps(entry.detail, ensure_ascii=False, separators=(",", ":")),
        "Result": str(entry.detail.get("result", entry.detail.get("reason", "ok"))),
        "Userid": "",
    }


def _payload_item(
    number: int, at_ms: int, device: str, topic: str, payload: bytes
) -> dict[str, Any]:
    """The payload as text where it is UTF-8, as base64 otherwise."""
    text, kind = base64.b64encode(payload).decode(), "base64"
    with suppress(UnicodeDecodeError):
        text, kind = payload.decode(), "text"
    who = _who(device)
    return {
        **who,
        "Uin": "",
        "SrcType": "device",
        "SrcName": who["DeviceName"],
        "Topic": topic,
        "PayloadFormatType": kind,
        "Payload": text,
        "RequestId": str(number),
        "DateTime": _time(at_ms),
    }


def _who(device: str | None) -> dict[str, str]:
    product_id, name = parse_path(device or "") or Identity("", "")
    return {"ProductId": product_id, "DeviceName": name}


def _time(at_ms: int) -> str:
    at = datetime.fromtimestamp(at_ms / 1000, timezone.utc)
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at_ms % 1000:03}"


def _answer(
    parameters: Parameters, kind: str, results: list[dict[str, Any]], context: int | None
) -> dict[str, Any]:
    names: Mapping[str, str] = _OLD_NAMES[kind] if parameters.version == V2018 else {}
    return {
        "Context": "" if context is None else str(context),
        "Listover": context is None,
        "Results": [{names.get(key, key): value for key, value in r.items()} for r in results],
    }
