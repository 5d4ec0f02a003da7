"""What an action was sent: JSON, or flat fields as `DeviceNames.0=a` where they travel in a query.

Every reader raises CloudError when a value is missing or of the wrong kind.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from tools.hub.cloud.errors import CloudError

MAX_LEVELS = 8
# Older actions write ProductID, and newer ones ProductId.
_OTHER_CASE = re.compile("Id$")
_REQUIRED: Any = object()


class Parameters:
    """The parameters of one request, or of an object in them."""

    def __init__(
        self, values: Mapping[str, Any], version: str, flat: bool = False, path: str = ""
    ) -> None:
        self._values = values
        # Of the API; some fields have other names in the other.
        self.version = version
        # In a query everything is text.
        self._flat = flat
        self._path = path

    @classmethod
    def from_json(cls, body: bytes, version: str) -> "Parameters":
        try:
            values = json.loads(body or b"{}")
        except (ValueError, RecursionError):
            raise CloudError("InvalidParameter", "the body is not JSON") from None
        if not isinstance(values, dict):
            raise CloudError("InvalidParameter", "the body is not a JSON object")
        return cls(values, version)

    @classmethod
    def from_fields(cls, fields: Mapping[str, str], version: str) -> "Parameters":
        tree: dict[str, Any] = {}
        for name, value in fields.items():
            *parents, last = name.split(".")
            if len(parents) >= MAX_LEVELS:
                raise CloudError("InvalidParameter", f"{name[:80]}: over {MAX_LEVELS} levels")
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
                if not isinstance(node, dict):
                    raise CloudError("InvalidParameter", f"{name[:80]}: both value and object")
            node[last] = value
        return cls(tree, version, flat=True)

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def text(self, name: str, default: str = _REQUIRED) -> str:
        value = self._get(name, default)
        if not _is_text(value):
            raise self._wrong(name, "text")
        return str(value)

    def integer(self, name: str, default: int = _REQUIRED, least: int = 0, most: int = 1 << 53):
        value = self._get(name, default)
        if self._flat and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "an integer")
        if not least <= value <= most:
            raise self._wrong(name, f"from {least} to {most}")
        return value

    def boolean(self, name: str, default: bool = _REQUIRED) -> bool:
        value = self._get(name, default)
        if self._flat and isinstance(value, str):
            value = {"true": True, "false": False}.get(value.lower())
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def texts(self, name: str, most: int, default: list[str] = _REQUIRED) -> list[str]:
        values = self._list(name, most, default)
        if not all(_is_text(value) for value in values):
            raise self._wrong(name, "a list of texts")
        return values

    def inner(self, name: str, required: bool = False) -> "Parameters":
        value = self._get(name, _REQUIRED if required else {})
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return Parameters(value, self.version, self._flat, f"{self._path}{name}.")

    def inners(self, name: str, most: int) -> list["Parameters"]:
        values = self._list(name, most, [])
        if not all(isinstance(value, dict) for value in values):
            raise self._wrong(name, "a list of objects")
        return [
            Parameters(value, self.version, self._flat, f"{self._path}{name}.{number}.")
            for number, value in enumerate(values)
        ]

    def _list(self, name: str, most: int, default: list[Any]) -> list[Any]:
        values = self._get(name, default)
        if self._flat and isinstance(values, dict):
            if any(not re.fullmatch("[0-9]{1,9}", key, re.ASCII) for key in values):
                raise self._wrong(name, "numbered from 0")
            values = [values[key] for key in sorted(values, key=int)]
        if not isinstance(values, list):
            raise self._wrong(name, "a list")
        if len(values) > most:
            raise self._wrong(name, f"a list of at most {most}")
        return values

    def _find(self, name: str) -> Any:
        value = self._values.get(name)
        return self._values.get(_OTHER_CASE.sub("ID", name)) if value is None else value

    def _get(self, name: str, default: Any) -> Any:
        value = self._find(name)
        if value is not None:
            return value
        if default is _REQUIRED:
            raise CloudError("MissingParameter", f"{self._path}{name} is missing")
        return default

    def _wrong(self, name: str, wanted: str) -> CloudError:
        return CloudError("InvalidParameterValue", f"{self._path}{name} must be {wanted}")


def _is_text(value: Any) -> bool:
    """Half a surrogate pair is no character, and nothing can store it."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
