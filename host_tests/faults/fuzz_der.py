"""Mutation fuzz of DER: private keys, and the PEM that registration gives.

    PYTHONPATH=.:firmware/lib python host_tests/faults/fuzz_der.py --seed 1 --cases 1000

A case is some keys that are almost right, in either wrapping, with lengths in more digits than
they need, cut, doubled and nested: a key whose parts belong together comes out, or BadInput. And a
right one, which is read to the last number. PEM blocks become DER, or ValueError. CPython and
MicroPython come to the same digest. `--subject NAME` runs a known-bad reader: status 1.
"""

import binascii
import sys

from iothub import rsa
from iothub.errors import BadInput
from iothub.services import register

from host_tests.faults import fuzz_run
from host_tests.faults.fuzz_dice import Dice, mutate
from host_tests.faults.fuzz_run import FuzzFailure

INPUTS_A_CASE = 6  # four keys, two blocks
PRIMES = (11, 251, 257, 65537, 104729, 2147483647)
ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")
LABELS = ("CERTIFICATE", "PRIVATE KEY", "RSA PRIVATE KEY", "", "-----")


def raises_untyped(der):
    """Knows no key that ends early."""
    fields = rsa._sequence(der)
    if fields[0][0] == 2 and len(fields) < 9:
        fields[8]
    return rsa.private_key(der)


def believes_any_number(der):
    """Does not see whether the parts belong together."""
    try:
        return rsa.private_key(der)
    except BadInput:
        fields = [f for f in _safely(der) if f[0] == 2]
        if len(fields) < 9:
            raise
        return tuple([int.from_bytes(fields[i][1], "big") for i in (1, 2, 4, 5, 6, 7, 8)])


def knows_no_wrapping(der):
    """Takes PKCS#1 only."""
    if len(_safely(der)) < 9:
        raise BadInput("private_key", "is wrapped")
    return rsa.private_key(der)


def _safely(der):
    try:
        return rsa._sequence(der)
    except (IndexError, ValueError):
        return []


class Reader:
    """A function as a class, which is what the runner names."""

    def __init__(self, private_key):
        self.private_key = private_key


READERS = {
    "real": Reader(rsa.private_key),
    "raises_untyped": Reader(raises_untyped),
    "believes_any_number": Reader(believes_any_number),
    "knows_no_wrapping": Reader(knows_no_wrapping),
}


def _element(dice, tag, content):
    """DER, or BER with a length in more digits than it needs."""
    size = len(content)
    if size < 128 and not dice.hits(5):
        head = bytes([size])
    else:
        digits = 1 if size < 256 and not dice.hits(20) else 2
        head = bytes([0x80 | digits]) + size.to_bytes(digits, "big")
    return bytes([tag]) + head + content


def _number(dice, value):
    size = 1
    while value >> 8 * size - 1:
        size += 1
    return _element(dice, 2, value.to_bytes(size, "big"))


def _key(dice):
    """(n, e, p, q, dp, dq, qinv) of small primes; what belongs to e is not looked at."""
    p, q = dice.pick(PRIMES), dice.pick(PRIMES)
    e = dice.pick((3, 17, 65537))
    return p * q, e, p, q, dice.below(1000), dice.below(1000), dice.below(9)


def _wrapped(dice, key, is_pkcs8):
    numbers = list(key)
    numbers[2:2] = [1]  # the private exponent, which is not looked at
    der = _number(dice, 0) + b"".join([_number(dice, number) for number in numbers])
    der = _element(dice, 0x30, der)
    if is_pkcs8:
        body = _number(dice, 0) + ALGORITHM + _element(dice, 4, der)
        der = _element(dice, 0x30, body)
    return der


def _hostile(reader, dice, tally):
    key = list(_key(dice))
    if dice.hits(15):
        key[0] += dice.below(3)
    if dice.hits(15):
        key[1] = dice.below(4)
    der = _wrapped(dice, key, dice.hits(50))
    for _ in range(dice.pick((0, 0, 0, 1, 3))):
        der = _element(dice, dice.pick((0x30, 4, 0x31)), der)
    der = bytes(mutate(dice, der, dice.pick((0, 1, 1, 2, 5))))
    try:
        key = reader.private_key(der)
    except BadInput:
        tally.count("refused")
        tally.mix("refused")
        return
    n, e, p, q = key[:4]
    if len(key) != 7 or p * q != n or n <= 0 or e <= 2:
        raise FuzzFailure(f"parts that do not belong together: {key}")
    for value in key:
        # What is not in the bytes cannot have been read from them.
        size = 1
        while value >> 8 * size:
            size += 1
        if value and value.to_bytes(size, "big") not in der:
            raise FuzzFailure(f"{value} is in no byte that was given")
    tally.count("key")
    tally.mix(str(key))


def _honest(reader, dice):
    for is_pkcs8 in (False, True):
        key = _key(dice)
        if reader.private_key(_wrapped(dice, key, is_pkcs8)) != key:
            raise FuzzFailure("a good key was not read")


def _block(dice, tally):
    der = b"\x30" + dice.octets(dice.below(120))
    label = dice.pick(LABELS)
    body = binascii.b2a_base64(der).decode()
    text = "-----BEGIN " + label + "-----\n" + body + "-----END " + label + "-----\n"
    mutated = bytes(mutate(dice, text.encode(), dice.pick((0, 0, 1, 2, 4))))
    try:
        mutated_text = mutated.decode()
    except ValueError:
        tally.count("no text")
        return
    try:
        found = register._der(mutated_text)
    except ValueError:
        tally.count("no block")
        return
    if found[:1] != b"\x30" or len(found) > len(mutated):
        raise FuzzFailure("what is no DER was given out")
    if mutated_text == text and label not in ("", "-----") and found != der:
        raise FuzzFailure("a good block was not read")
    tally.count("block")


def make_run_case(reader):
    """The run_case of fuzz_run.run() for a reader of keys."""

    def run_case(seed, case, tally):
        dice = Dice(seed, case)
        for _ in range(4):
            _hostile(reader, dice, tally)
        _honest(reader, dice)
        for _ in range(2):
            _block(dice, tally)

    return run_case


if __name__ == "__main__":
    sys.exit(fuzz_run.main("fuzz_der", READERS, make_run_case))
