"""A shadow's document: what the device reported, what the application desires, and when. Pure.

Documents "设备影子介绍" and "设备影子数据流". Changes are JSON objects: an object merges key by
key, null deletes its key, and everything else, arrays too, replaces what was there as a whole.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from tools.hub.services.messages import Json, encode, is_text

# The documents name error 5011 and no size. This is the `state` of an answer to a get, with its
# delta, so that it always fits in a packet with the topic and the rest.
MAX_STATE_BYTES = 15 * 1024
MAX_STATE_LEVELS = 8

PARTS = ("reported", "desired")


class BadChanges(Exception):
    """Changes that cannot be merged into a document. The text says which and why."""


class TooLarge(Exception):
    """The document would be over MAX_STATE_BYTES."""


@dataclass(slots=True)
class ShadowDocument:
    """One device's shadow. `metadata` has, for each value of `state` at its place, the time of its
    last change as {"timestamp": milliseconds}. One that was deleted keeps counting versions."""

    version: int = 0
    updated_ms: int = 0
    exists: bool = True
    reported: Json = field(default_factory=dict)
    desired: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)

    def updated(self, state: Json, now_ms: int, overwrite: bool = False) -> "ShadowDocument":
        """The document after an update with `state`, {"reported": changes, "desired": changes}.

        A part that is null is emptied; with `overwrite`, the parts named are replaced. Raises
        BadChanges, TooLarge.
        """
        parts = {name: getattr(self, name) for name in PARTS}
        metadata = dict(self.metadata)
        for name in PARTS:
            if name not in state:
                continue
            changes = state[name]
            start, start_times = parts[name], metadata.get(name, {})
            if changes is None or overwrite:
                start, start_times = {}, {}
            parts[name] = merged(start, changes or {})
            metadata[name] = _stamped(start_times, changes or {}, now_ms)
        metadata = {name: times for name, times in metadata.items() if times}
        after = ShadowDocument(self.version + 1, now_ms, True, **parts, metadata=metadata)
        if len(encode(after.state(with_delta=True))) > MAX_STATE_BYTES:
            raise TooLarge(f"a shadow's state is at most {MAX_STATE_BYTES} bytes with its delta")
        return after

    def deleted(self, now_ms: int) -> "ShadowDocument":
        """The document after its deletion: an update like others, so that no version returns."""
        return ShadowDocument(self.version + 1, now_ms, exists=False)

    def state(self, with_delta: bool) -> Json:
        """What is reported and desired; an empty part is left out."""
        shown = {name: getattr(self, name) for name in PARTS if getattr(self, name)}
        if with_delta and self.desired:
            shown["delta"] = self.delta()
        return shown

    def delta(self) -> Json:
        """The desired values that are not what was reported."""
        return _difference(self.desired, self.reported)


def check_changes(changes: Any, name: str) -> None:
    """Raise BadChanges unless `changes` is an object of JSON values that may be merged."""
    if not isinstance(changes, dict):
        raise BadChanges(f"{name}: must be an object")
    _check(changes, name, 1, may_be_null=True)


def only_deletes(changes: Json) -> bool:
    """Whether changes hold no value but null."""
    return all(
        only_deletes(value) if isinstance(value, dict) else value is None
        for value in changes.values()
    )


def merged(document: Json, changes: Json) -> Json:
    """A new document, which shares with the old one what did not change."""
    after = dict(document)
    for key, value in changes.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict):
            old = after.get(key)
            after[key] = merged(old if isinstance(old, dict) else {}, value)
        else:
            after[key] = value
    return after


def _check(value: Any, path: str, level: int, may_be_null: bool) -> None:
    if value is None and not may_be_null:
        raise BadChanges(f"{path}: an array holds no null")
    if isinstance(value, float) and value - value != 0:
        raise BadChanges(f"{path}: JSON has no infinity and no NaN")
    if isinstance(value, str) and not is_text(value):
        raise BadChanges(f"{path}: not Unicode text")
    if not isinstance(value, dict | list):
        return
    if level > MAX_STATE_LEVELS:
        raise BadChanges(f"{path}: over {MAX_STATE_LEVELS} levels deep")
    if isinstance(value, dict):
        for key, each in value.items():
            if not is_text(key):
                raise BadChanges(f"{path}: a key is not Unicode text")
            _check(each, f"{path}.{key}"[:80], level + 1, may_be_null)
    else:
        for each in value:
            _check(each, path, level + 1, may_be_null=False)


def _stamped(times: Json, changes: Json, now_ms: int) -> Json:
    """The times of a part after changes to it."""
    after = dict(times)
    for key, value in changes.items():
        if value is None:
            after.pop(key, None)
        elif isinstance(value, dict):
            old: Json = after.get(key, {})
            # A single value's, if `timestamp` is no name of one within.
            is_leaf = isinstance(old.get("timestamp"), int)
            after[key] = _stamped({} if is_leaf else old, value, now_ms)
        else:
            after[key] = {"timestamp": now_ms}
    return after


def _difference(desired: Json, reported: Json) -> Json:
    different = {}
    for key, value in desired.items():
        if key not in reported:
            different[key] = value
        elif isinstance(value, dict) and isinstance(reported[key], dict):
            inner = _difference(value, reported[key])
            if inner:
                different[key] = inner
        elif not same(value, reported[key]):
            different[key] = value
    return different


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON: `true` is not 1, nor is 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
