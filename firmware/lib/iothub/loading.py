"""Modules that are needed for a moment only: their code costs heap while it is loaded."""

import sys


def for_now(name):
    """The module `name` of the library, which stays in memory as long as the caller, or code of
    it that runs, holds it. Raises ImportError or MemoryError."""
    try:
        return __import__(name, None, None, (name,))
    finally:
        let_go(name)


def let_go(name):
    """Forgets a module of the library; whoever holds something of it keeps that, and it can be
    imported again."""
    # Two hold it: the table of modules, and the package as its attribute.
    sys.modules.pop(name, None)
    package, _, attribute = name.rpartition(".")
    sys.modules[package].__dict__.pop(attribute, None)
