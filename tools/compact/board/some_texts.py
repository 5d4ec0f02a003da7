"""Some of the texts of errors: texts.py fills them in, coded by pairs.py, and gives this into the
library as iothub.texts0, iothub.texts1 and so on."""

_CODED = b""  # each with a zero after it
_PAIRS = b""


def decoded(number):
    at = 0
    for _ in range(number):
        at = _CODED.find(b"\0", at) + 1
    waiting = list(reversed(_CODED[at : _CODED.find(b"\0", at)]))
    found = bytearray()
    while waiting:
        code = waiting.pop()
        if code < 128:
            found.append(code)
        else:
            waiting.append(_PAIRS[2 * code - 255])
            waiting.append(_PAIRS[2 * code - 256])
    return found.decode()
