"""The only difference between MicroPython and CPython that the pure modules know."""

try:
    from micropython import const
except ImportError:  # CPython: host tests and a user's CI

    def const(value):  # type: ignore[misc]  # "/" to match it is no MicroPython
        return value
