"""What a shadow's document is made of: JSON objects that changes are merged into. Arrays are
replaced as a whole and hold no null; a null elsewhere deletes; objects merge key by key
(document "设备影子介绍" and "设备影子数据流")."""

import json

from iothub.compat import const
from iothub.errors import BadInput

# The documents name no size (error 5011 has none either); this is what the device sends at most.
MAX_CHANGES_BYTES = const(8192)
_MAX_DEPTH = const(8)

# Where a null may stand.
NULL_NOWHERE = const(0)
NULL_DELETES = const(1)  # not in arrays: what is sent
NULL_ANYWHERE = const(2)  # what comes from a server


def check(value, nulls, depth=0):
    """Raises BadInput unless `value` is JSON, at most 8 levels deep, with nulls (one of the
    constants) where they may be."""
    if isinstance(value, (dict, list, tuple)):
        if depth >= _MAX_DEPTH:
            raise _bad("must be at most 8 levels deep")
        is_dict = isinstance(value, dict)
        if not is_dict:
            nulls &= NULL_ANYWHERE
        for each in value:
            if is_dict:
                if not isinstance(each, str):
                    raise _bad("keys must be text")
                each = value[each]  # type: ignore[call-overload]
            check(each, nulls, depth + 1)
    elif value is None:
        if nulls == NULL_NOWHERE:
            raise _bad("an array must not hold null")
    elif isinstance(value, float):
        if value - value != 0:
            raise _bad("JSON has no NaN and no infinity")
    elif not isinstance(value, (str, int, bool)):  # bool is no int in MicroPython
        raise _bad("%s is not JSON" % type(value).__name__)


def checked_changes(changes):
    """A copy of what an application wants reported. Raises BadInput."""
    if not isinstance(changes, dict):
        raise _bad("must be a dict")
    check(changes, NULL_DELETES)
    if not fits(changes):
        raise _bad("must be at most %d bytes" % MAX_CHANGES_BYTES)
    return copied(changes)


def fits(changes):
    return len(json.dumps(changes).encode()) <= MAX_CHANGES_BYTES


def copied(value):
    """A deep copy, tuples as lists."""
    if isinstance(value, dict):
        copy = {}
        for key in value:
            copy[key] = copied(value[key])
        return copy
    if isinstance(value, (list, tuple)):
        return [copied(each) for each in value]
    return value


def merge(document, changes):
    """Does the changes to the document (both dicts), as the server does."""
    for key in changes:
        value = changes[key]
        if value is None:
            document.pop(key, None)
        elif isinstance(value, dict):
            old = document.get(key)
            if not isinstance(old, dict):
                old = document[key] = {}
            merge(old, value)
        else:
            document[key] = copied(value)


def composed(first, second):
    """One dict of changes that does what `first` and then `second` do; or None when one cannot: a
    value that was replaced or deleted, then an object put in its place, of which the server would
    merge the keys into what it has."""
    both = dict(first)
    for key in second:
        value = second[key]
        if isinstance(value, dict) and key in first:
            if not isinstance(first[key], dict):
                return None
            value = composed(first[key], value)
            if value is None:
                return None
        both[key] = value
    return both


def same(a, b):
    """Whether two JSON values are the same; 1, 1.0 and true are not."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        a = dict(enumerate(a))
        b = dict(enumerate(b))
    if isinstance(a, dict):
        if len(a) != len(b):
            return False
        for key in a:
            if key not in b or not same(a[key], b[key]):
                return False
        return True
    return a == b


def _bad(rule):
    error = BadInput("state", rule)
    error.phase = "shadow"
    return error
