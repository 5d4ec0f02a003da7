from iothub.errors import BadInput
from iothub.services.document import (
    MAX_CHANGES_BYTES,
    NULL_ANYWHERE,
    NULL_DELETES,
    check,
    checked_changes,
    composed,
    copied,
    merge,
    same,
)

from host_tests.unit.iothub.expect import raises


def _nested(levels):
    value: dict = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


# document, changes, what the server makes of them
MERGES: tuple = (
    ({}, {"a": 1}, {"a": 1}),
    ({"a": 1}, {"a": None}, {}),
    ({}, {"a": None}, {}),
    ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
    ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
    ({"a": {"x": 1}}, {"a": {"x": None}}, {"a": {}}),
    ({"a": 1}, {"a": {"x": 1, "y": None}}, {"a": {"x": 1}}),
    ({"a": {"x": 1}}, {"a": 2}, {"a": 2}),
    ({"a": [1, 2, 3]}, {"a": [4]}, {"a": [4]}),
    ({"a": {"x": [1]}}, {"a": {"x": []}}, {"a": {"x": []}}),
)
# changes, then changes, both in one; None: they need two messages
COMPOSITIONS: tuple = (
    ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    ({"a": 1}, {"a": 2}, {"a": 2}),
    ({"a": 1}, {"a": None}, {"a": None}),
    ({"a": None}, {"a": 1}, {"a": 1}),
    ({"a": {"x": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
    ({"a": {"x": 1}}, {"a": None}, {"a": None}),
    ({"a": {"x": {"p": 1}}}, {"a": {"x": {"q": None}}}, {"a": {"x": {"p": 1, "q": None}}}),
    ({"a": [1]}, {"a": [2]}, {"a": [2]}),
    ({"a": 1}, {"a": {"x": 1}}, None),
    ({"a": None}, {"a": {"x": 1}}, None),
    ({"a": [1]}, {"a": {"x": 1}}, None),
    ({"a": {"x": 1}}, {"a": {"x": {"y": 1}}}, None),
)
DOCUMENTS: tuple = ({}, {"a": 7}, {"a": {"x": 7, "z": 7}, "b": 7}, {"a": {"x": {"p": 7, "q": 7}}})
DIFFERENT: tuple = (
    (1, True),
    (0, False),
    (1, 1.0),
    ("1", 1),
    ([1], [True]),
    ({"a": 1}, {"a": 1.0}),
    ({"a": 1}, {"b": 1}),
    ([1, 2], [2, 1]),
    ([1], [1, 1]),
    ({}, []),
    (None, False),
)
# what cannot be reported, and what the error says
REFUSED: tuple = (
    ([], "dict"),
    (None, "dict"),
    ({"a": [1, None]}, "null"),
    ({"a": [[None]]}, "null"),
    ({"a": [{"b": None}]}, "null"),
    ({"a": {"b": [None]}}, "null"),
    ({"a": float("nan")}, "NaN"),
    ({"a": [float("-inf")]}, "infinity"),
    ({"a": b"bytes"}, "bytes"),
    ({"a": {1, 2}}, "set"),
    ({1: "a"}, "keys"),
    ({"a": {None: 1}}, "keys"),
    (_nested(9), "8 levels"),
    ({"a": "x" * MAX_CHANGES_BYTES}, str(MAX_CHANGES_BYTES)),
)


def test_changes_are_merged_as_the_documents_say():
    for document, changes, expected in MERGES:
        merged = copied(document)
        merge(merged, changes)
        assert same(merged, expected), (document, changes)


def test_composed_changes_do_what_both_do():
    for first, second, expected in COMPOSITIONS:
        both = composed(first, second)
        assert both == expected, (first, second)
        for document in DOCUMENTS:
            one_by_one = copied(document)
            merge(one_by_one, first)
            merge(one_by_one, second)
            if both is not None:
                at_once = copied(document)
                merge(at_once, both)
                assert same(at_once, one_by_one), (document, first, second)


def test_composing_changes_neither():
    for first, second, _ in COMPOSITIONS:
        before = copied(first), copied(second)
        composed(first, second)
        assert same([first, second], list(before))


def test_what_cannot_be_reported_is_refused():
    for changes, told in REFUSED:
        error = raises(BadInput, checked_changes, changes)
        assert error.field == "state" and error.phase == "shadow"
        assert told in error.reason, error.reason


def test_what_can_be_reported_is_copied():
    given: dict = {"a": {"b": [1, {"c": True}], "d": None}, "e": "温度", "f": (1, 2), "g": -1.5}
    copy = checked_changes(given)
    assert same(copy["f"], [1, 2])
    given["a"]["b"][1]["c"] = False
    given["a"]["d"] = 1
    assert copy["a"] == {"b": [1, {"c": True}], "d": None}
    assert same(checked_changes(_nested(8)), _nested(8))
    assert checked_changes({}) == {}


def test_a_server_may_send_nulls_anywhere():
    check({"a": [None, {"b": None}], "c": None}, NULL_ANYWHERE)
    check({"a": {"b": None}}, NULL_DELETES)
    raises(BadInput, check, _nested(9), NULL_ANYWHERE)


def test_merging_takes_nothing_over_from_the_changes():
    changes: dict = {"a": {"x": [1, 2]}, "b": [{"y": 1}]}
    document: dict = {}
    merge(document, changes)
    changes["a"]["x"].append(3)
    changes["b"][0]["y"] = 2
    assert document == {"a": {"x": [1, 2]}, "b": [{"y": 1}]}


def test_same_knows_numbers_from_truth():
    for a, b in DIFFERENT:
        assert not same(a, b) and not same(b, a), (a, b)
    for a in (1, 1.5, "x", True, None, [], {}, {"a": [1, {"b": None}]}):
        assert same(a, copied(a)), a
