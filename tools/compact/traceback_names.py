"""Reads what a board printed back: the names of the library's sources instead of the board's."""

import re

# `File "base", line 1, in lsr` of a traceback, and what MicroPython says about names.
_IN_FUNCTION = re.compile(r'(?P<before>File "[^"]*", line \d+, in )(?P<name>\w+)')
_QUOTED = re.compile(r"(?P<before>(?:attribute|name|argument) ')(?P<name>\w+)(?=')")
_OBJECT = re.compile(r"(?P<before>')(?P<name>\w+)(?=' object)")
_REPR = re.compile(r"(?P<before><)(?P<name>\w+)(?= object)")


def read_back(text: str, names: dict[str, str]) -> str:
    """`names` is {text in the sources: text on the board}. A word that is none of the library's
    stays; so does one that the application may have meant, outside of tracebacks."""
    sources = {new: old for old, new in names.items()}

    def old(match: re.Match[str]) -> str:
        name = match["name"]
        return match["before"] + sources.get(name, name)

    for pattern in (_IN_FUNCTION, _QUOTED, _OBJECT, _REPR):
        text = pattern.sub(old, text)
    return text
