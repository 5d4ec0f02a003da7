"""The search through what happened."""

from typing import Any

import pytest

from host_tests.unit.hub.service_bench import START_MS, ServiceBench
from tools.hub import events
from tools.hub.device_log import MAX_ENTRIES, DeviceLog, LogQuery

FIRST, SECOND, OTHER = "PRODUCTID1/a", "PRODUCTID1/b", "PRODUCTID10/a"


HAPPENED: list[tuple[str | None, str, dict[str, Any]]] = [
    (FIRST, events.CONNECT, {"peer": "127.0.0.1"}),
    (SECOND, events.CONNECT, {"peer": "127.0.0.1"}),
    (OTHER, events.DROP, {"reason": "Not Subscribed"}),
    (FIRST, events.DROP, {"reason": 'said "no" at 100% of_it'}),
    (None, events.CLOCK, {"offset_s": 5}),
    (FIRST, events.DISCONNECT, {"reason": "断开 DISCONNECT"}),
]


@pytest.fixture(scope="module")
def log():
    bench = ServiceBench()
    for number, (device, kind, detail) in enumerate(HAPPENED):
        bench.clock.moved_ms = START_MS + number * 1000
        bench.records.event(kind, device, **detail)
    return DeviceLog(bench.store)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (LogQuery(), [1, 2, 3, 4, 5, 6]),
        (LogQuery(newest_first=True), [6, 5, 4, 3, 2, 1]),
        (LogQuery(device=FIRST), [1, 4, 6]),
        (LogQuery(device="PRODUCTID1/%"), []),
        (LogQuery(product_id="PRODUCTID1"), [1, 2, 4, 6]),
        (LogQuery(device=SECOND, product_id="PRODUCTID1"), [2]),
        (LogQuery(kinds=("drop",)), [3, 4]),
        (LogQuery(kinds=("drop", "clock")), [3, 4, 5]),
        (LogQuery(keyword="not subscribed"), [3]),
        (LogQuery(keyword='"no"'), [4]),
        (LogQuery(keyword="100%"), [4]),
        (LogQuery(keyword="%"), [4]),
        (LogQuery(keyword="of_it"), [4]),
        (LogQuery(keyword="断开"), [6]),
        (LogQuery(keyword="'; DROP TABLE event; --"), []),
        (LogQuery(from_ms=START_MS + 1000, until_ms=START_MS + 3000), [2, 3, 4]),
        (LogQuery(from_ms=START_MS + 5001), []),
        (LogQuery(device=FIRST, kinds=("drop",), keyword="no", until_ms=START_MS + 3000), [4]),
        (LogQuery(after=4), [5, 6]),
        (LogQuery(after=4, newest_first=True), [3, 2, 1]),
        (LogQuery(limit=0), []),
    ],
    ids=str,
)
def test_what_is_found(log, query, numbers):
    page = log.search(query)
    assert [entry.number for entry in page.entries] == numbers
    assert page.next_after is None


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_follow_each_other(log, newest_first, limit):
    found, after = [], None
    while True:
        page = log.search(LogQuery(newest_first=newest_first, limit=limit, after=after))
        found += [entry.number for entry in page.entries]
        assert len(page.entries) <= limit
        after = page.next_after
        if after is None:
            break
        assert len(page.entries) == limit
    assert found == (list(range(6, 0, -1)) if newest_first else list(range(1, 7)))


def test_an_entry_says_it_all(log):
    (entry,) = log.search(LogQuery(kinds=("clock",))).entries
    assert entry == (5, START_MS + 4000, None, "clock", {"offset_s": 5})


def test_a_page_is_bounded():
    bench = ServiceBench()
    for _ in range(MAX_ENTRIES + 1):
        bench.records.event(events.ACK, FIRST)
    page = DeviceLog(bench.store).search(LogQuery(limit=10**9))
    assert (len(page.entries), page.next_after) == (MAX_ENTRIES, MAX_ENTRIES)
