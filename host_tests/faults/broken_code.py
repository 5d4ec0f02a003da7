"""Faults in the code that a service loads when it needs it (`_load()`, to `_code`)."""


def with_broken_code(service, change):
    """A subclass of `service` (a class) that has its code changed by `change(module)`, each time
    it was loaded anew."""

    class Broken(service):  # type: ignore[valid-type, misc]
        _changed = None

        def _load(self):
            service._load(self)
            if Broken._changed is not self._code:
                change(self._code)
                Broken._changed = self._code
            return self._code

    return Broken
