"""What a service does when the code it loads for a moment cannot be loaded."""

import builtins

from iothub.errors import LinkError

MISSING = LinkError("missing or damaged", None, 2)
ERRORS = (MISSING, MemoryError())


class NoCode:
    """A context in which the library cannot load `name`, a module of it."""

    def __init__(self, name, error=MISSING):
        self._name = name
        self._error = error

    def _import(self, name, *arguments):
        if name == self._name:
            raise self._error
        return self._real(name, *arguments)

    def __enter__(self):
        # Whatever the library calls its own functions when it is compiled.
        self._real = builtins.__import__
        builtins.__import__ = self._import

    def __exit__(self, *error):
        builtins.__import__ = self._real
