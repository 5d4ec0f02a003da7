"""The texts of errors, which cost heap only while one is made: build.py puts text(number) in their
place, and this into the library as iothub.texts."""

import sys

import iothub


def text(number):
    """Never fails: an error must not hide behind another."""
    name = "texts" + str(number >> 5)
    try:
        module = __import__("iothub." + name, None, None, ("TEXTS",))
        # Needed once. Two hold the module: the table of modules, and the package as its attribute.
        del sys.modules["iothub." + name]
        iothub.__dict__.pop(name)
        return module.TEXTS[number & 31]
    except (ImportError, MemoryError):
        return "error " + str(number)
