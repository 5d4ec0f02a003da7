"""Chance that falls the same under CPython and MicroPython, whose random modules differ."""

_MASK = 0xFFFFFFFF


class Dice:
    """Numbers that follow from (seed, case): xorshift, 32 bits."""

    def __init__(self, seed, case):
        # Neighbouring cases must not begin alike.
        state = (seed * 0x9E3779B1 + case * 0x85EBCA77 + 0x165667B1) & _MASK
        self._state = state or 1
        for _ in range(4):
            self.below(2)

    def below(self, n):
        """An int from 0 to n - 1."""
        state = self._state
        state ^= state << 13 & _MASK
        state ^= state >> 17
        state ^= state << 5 & _MASK
        self._state = state
        return (state >> 3) % n

    def hits(self, percent):
        """True in so many of a hundred."""
        return self.below(100) < percent

    def pick(self, choices):
        return choices[self.below(len(choices))]

    def octets(self, count):
        """So many random bytes."""
        return bytes([self.below(256) for _ in range(count)])


# What breaks parsers: the ends of ranges, signs of lengths, wildcards.
_INTERESTING = b"\x00\x01\x02\x7f\x80\x81\xff\xfe\x23\x2b"


def mutate(dice, data, times):
    """`data` (bytes) with so many random changes, as a bytearray."""
    out = bytearray(data)
    for _ in range(times):
        if not out:
            return bytearray(dice.octets(dice.below(8)))
        at = dice.below(len(out))
        kind = dice.below(8)
        if kind == 0:
            out[at] ^= 1 << dice.below(8)
        elif kind == 1:
            out[at] = dice.pick(_INTERESTING)
        elif kind == 2:
            out[at] = dice.below(256)
        elif kind == 3:
            out = out[:at] + dice.octets(1 + dice.below(6)) + out[at:]
        elif kind == 4:
            out = out[:at] + out[at + 1 + dice.below(6) :]
        elif kind == 5:
            end = at + 1 + dice.below(40)
            out = out[:end] + out[at:end] + out[end:]
        elif kind == 6:
            out = out[:at]
        else:
            other = dice.below(len(out))
            out[at], out[other] = out[other], out[at]
    return out
