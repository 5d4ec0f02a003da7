"""What a service does when the code it loads for a moment cannot be loaded."""

from iothub.errors import LinkError

MISSING = LinkError("missing or damaged", None, 2)
ERRORS = (MISSING, MemoryError())


class NoCode:
    """A context in which `module` cannot load any."""

    def __init__(self, module, error=MISSING):
        self._module = module
        self._error = error

    def _load(self, name):
        raise self._error

    def __enter__(self):
        self._for_now = self._module.for_now
        self._module.for_now = self._load

    def __exit__(self, *error):
        self._module.for_now = self._for_now
