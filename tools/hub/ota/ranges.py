"""Which bytes of a file a request is for (RFC 9110, 14). Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """`first` and `last` byte of a file; `is_whole`: no part was asked for."""

    first: int
    last: int
    is_whole: bool

    @property
    def size(self) -> int:
        return self.last - self.first + 1


def requested(wanted: str | None, if_range: str | None, etag: str, size: int) -> Part | None:
    """The part of a file of `size` bytes that `Range` names; None if there is no such part. What
    is no single range of bytes asks for the whole, as the standard has it."""
    whole = Part(0, size - 1, True)
    if wanted is None or (if_range is not None and if_range != etag):
        return whole
    unit, _, rest = wanted.partition("=")
    first_text, dash, last_text = rest.strip().partition("-")
    if unit.strip().lower() != "bytes" or not dash:
        return whole
    for text in (first_text, last_text):
        if text and not (text.isascii() and text.isdigit() and len(text) <= 18):
            return whole
    if not first_text:
        if not last_text:
            return whole
        count = min(int(last_text), size)
        return Part(size - count, size - 1, False) if count else None
    first = int(first_text)
    # The vendor's SDKs name the size of the file as the last byte.
    last = min(int(last_text), size - 1) if last_text else size - 1
    if last_text and int(last_text) < first:
        return whole
    return Part(first, last, False) if first < size else None
