"""The texts of errors, which cost heap only while one is made: build.py puts text(number) in their
place, and this into the library as iothub.texts."""

from iothub.loading import for_now


def text(number, values=()):
    """`values` are for what is to be filled in. Never fails: an error must not hide behind
    another, not even where a file is missing, damaged or of another build."""
    try:
        found = for_now("iothub.texts" + str(number >> 6)).decoded(number & 63)
        return found if values == () else found % values
    except Exception:
        return "error " + str(number)
