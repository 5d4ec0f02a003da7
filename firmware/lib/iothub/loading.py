"""Modules that are needed for a moment only: their code costs heap while it is loaded."""

import sys

from iothub.compat import const
from iothub.errors import LinkError

# A code of LinkError: a file of the library is missing, damaged or of another build.
NO_CODE = const(2)


def load(name):
    """The module `name` of the library, which stays in memory until let_go(). Raises LinkError
    with NO_CODE, MemoryError."""
    try:
        return __import__(name, None, None, (name,))
    except (ImportError, ValueError) as e:
        if isinstance(e, ValueError) and ".mpy" not in str(e):
            raise
        # In words that need not be loaded themselves (tools/compact/texts.py).
        raise LinkError(name + ": " + str(e), None, NO_CODE)


def for_now(name):
    """The module `name` of the library, which stays in memory as long as the caller, or code of
    it that runs, holds it. Raises what load() does."""
    try:
        return load(name)
    finally:
        let_go(name)


def let_go(name):
    """Forgets a module of the library; whoever holds something of it keeps that, and it can be
    imported again."""
    # Two hold it: the table of modules, and the package as its attribute.
    sys.modules.pop(name, None)
    package, _, attribute = name.rpartition(".")
    sys.modules[package].__dict__.pop(attribute, None)
