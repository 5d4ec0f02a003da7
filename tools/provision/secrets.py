"""Secrets come from a file, from standard input or from a prompt; never from an argument, where
other users of the computer could read them."""

import getpass
import sys
import warnings
from pathlib import Path

from tools.boards.errors import BoardError

STANDARD_INPUT = "-"
_MAX_BYTES = 4096


def read_secret(source: str | None, what: str) -> str:
    """One line: of the file `source`, of standard input for "-", of a prompt for None. Raises
    BoardError."""
    phase = f"reading the {what}"
    try:
        if source is None:
            text = _asked(what)
        elif source == STANDARD_INPUT:
            text = sys.stdin.readline()
        else:
            with Path(source).open(encoding="utf-8") as file:
                text = file.read(_MAX_BYTES)
    except (OSError, UnicodeDecodeError, EOFError) as error:
        reason = f"{source or 'the prompt'}: {getattr(error, 'strerror', None) or 'no text'}"
        raise BoardError(phase, reason, "Name a file, or - for standard input.") from error
    except getpass.GetPassWarning:
        hint = "Name a file that holds it, or - for standard input: the options are in --help."
        raise BoardError(phase, "there is no terminal to ask at", hint) from None
    secret = text.strip()
    if not secret or "\n" in secret:
        raise BoardError(phase, "it is not one line of text", "The file holds it, and no more.")
    return secret


def _asked(what: str) -> str:
    """Without a terminal getpass would warn and read what it shows. Here the warning is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        return getpass.getpass(f"{what}: ")
