"""What the plain tests need and MicroPython lacks."""


def raises(error_class, action, *args, **kwargs):
    """Calls `action` and returns the `error_class` it raises; anything else fails the test."""
    try:
        result = action(*args, **kwargs)
    except error_class as e:
        return e
    raise AssertionError("%s expected, got %r" % (error_class.__name__, result))


class Replaced:
    """A context in which a module finds `value` where it looks for the builtin `name`."""

    def __init__(self, module, name, value):
        self._module = module
        self._name = name
        self._value = value

    def __enter__(self):
        setattr(self._module, self._name, self._value)

    def __exit__(self, *error):
        delattr(self._module, self._name)
