"""Byte pair coding of ASCII texts: what occurs most, two bytes, becomes one that no text has."""

from collections import Counter
from itertools import pairwise

FIRST_CODE = 128
_CODES = 128
_LEAST_USES = 3  # the pair itself takes two bytes


def coded(texts: list[str]) -> tuple[list[bytes], bytes]:
    """(each text, what the codes stand for: two bytes each, from FIRST_CODE on). A pair may have
    codes of earlier ones in it. Raises UnicodeEncodeError for a text that is not ASCII."""
    parts = [text.encode("ascii") for text in texts]
    pairs = b""
    for code in range(FIRST_CODE, FIRST_CODE + _CODES):
        uses = Counter(pair for part in parts for pair in pairwise(part))
        pair, count = max(uses.items(), key=lambda use: (use[1], use[0]), default=((0, 0), 0))
        if count < _LEAST_USES:
            break
        pairs += bytes(pair)
        parts = [part.replace(bytes(pair), bytes((code,))) for part in parts]
    return parts, pairs
