"""The texts of errors, which cost heap only while one is made: build.py puts text(number) in their
place, and this into the library as iothub.texts."""

from iothub.loading import let_go


def text(number):
    """Never fails: an error must not hide behind another."""
    name = "iothub.texts" + str(number >> 5)
    try:
        found = __import__(name, None, None, ("TEXTS",)).TEXTS[number & 31]
        let_go(name)
        return found
    except (ImportError, MemoryError):
        return "error " + str(number)
