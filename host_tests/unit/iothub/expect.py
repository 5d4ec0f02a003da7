"""What the plain tests need and MicroPython lacks."""


def raises(error_class, action, *args, **kwargs):
    """Calls `action` and returns the `error_class` it raises; anything else fails the test."""
    try:
        result = action(*args, **kwargs)
    except error_class as e:
        return e
    raise AssertionError("%s expected, got %r" % (error_class.__name__, result))
