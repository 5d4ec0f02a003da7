"""The library's short names on a board, in the words of its sources again: for tracebacks."""

import re
from collections.abc import Mapping

# As in: File "session", line 1, in xy
# and:   AttributeError: 'Ab' object has no attribute 'cd'
# What is not of the library has a name with an ending: main.py.
_PLACE = re.compile(r'^(\s*File "\w+", line \d+, in )(\w+)$')
_QUOTED = re.compile(r"'(\w+)'")
_ERROR = re.compile(r"^(AttributeError|NameError|ImportError|TypeError): ")


def may_have_names(line: str) -> bool:
    """Whether readable() may change a line."""
    return bool(_PLACE.match(line) or _ERROR.match(line))


def readable(line: str, names: Mapping[str, str]) -> str:
    """A line of a traceback with short names followed by their long ones; any other as it is.
    `names`: {name in the sources: name on the board}."""
    long = {short: name for name, short in names.items()}

    def told(match: re.Match[str]) -> str:
        name = long.get(match[1])
        return f"'{match[1]}' ({name})" if name else match[0]

    if place := _PLACE.match(line):
        name = long.get(place[2])
        return f"{line} ({name})" if name else line
    return _QUOTED.sub(told, line) if _ERROR.match(line) else line
