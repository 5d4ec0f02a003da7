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
        raise _not_loaded(name, e)


def for_now(name):
    """The module `name` of the library, which stays in memory as long as the caller, or code of
    it that runs, holds it. Raises what load() does."""
    try:  # not load(): an RP2040's stack has room for some 20 calls, and an import takes 8
        return __import__(name, None, None, (name,))
    except (ImportError, ValueError) as e:
        raise _not_loaded(name, e)
    finally:
        let_go(name)


def let_go(name):
    """Forgets a module of the library; whoever holds something of it keeps that, and it can be
    imported again."""
    # Two hold it: the table of modules, and the package as its attribute.
    sys.modules.pop(name, None)
    package, _, attribute = name.rpartition(".")
    sys.modules[package].__dict__.pop(attribute, None)


def _not_loaded(name, error):
    if isinstance(error, ValueError) and ".mpy" not in str(error):
        return error
    # In words that need not be loaded themselves (tools/compact/texts.py).
    return LinkError(name + ": " + str(error), None, NO_CODE)
