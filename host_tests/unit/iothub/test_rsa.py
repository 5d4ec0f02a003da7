"""rsa.py against signatures of the `cryptography` package."""

from iothub import rsa
from iothub.errors import BadInput

from host_tests.unit.iothub import throw_away_keys as keys
from host_tests.unit.iothub.expect import raises

PAIRS = (
    (keys.THROW_AWAY_1024_PKCS1, keys.THROW_AWAY_1024_PKCS8, keys.SIGNATURE_1024),
    (keys.THROW_AWAY_2048_PKCS1, keys.THROW_AWAY_2048_PKCS8, keys.SIGNATURE_2048),
)


def refused(der):
    error = raises(BadInput, rsa.private_key, der)
    assert error.field == "private_key"
    return error


def test_both_forms_of_a_key_are_read_alike():
    for pkcs1, pkcs8, signature in PAIRS:
        key = rsa.private_key(pkcs1)
        assert key == rsa.private_key(pkcs8)
        n, e, p, q, dp, dq, qinv = key
        assert n == p * q and e == 65537
        assert n.to_bytes(len(signature), "big")[0] & 0x80
        assert dp * e % (p - 1) == 1 and dq * e % (q - 1) == 1 and qinv * q % p == 1


def test_signatures_are_those_of_cryptography():
    for pkcs1, pkcs8, signature in PAIRS:
        for der in (pkcs1, pkcs8):
            assert rsa.sign(rsa.private_key(der), keys.MESSAGE) == signature


def test_a_signature_is_as_long_as_the_modulus_even_when_it_begins_with_zero():
    key = rsa.private_key(keys.THROW_AWAY_1024_PKCS1)
    n, e = key[:2]
    short = 0
    for i in range(600):
        message = b"%d" % i
        signature = rsa.sign(key, message)
        assert len(signature) == 128
        if signature[0] == 0:
            short += 1
            opened = pow(int.from_bytes(signature, "big"), e, n).to_bytes(128, "big")
            assert opened.startswith(b"\x00\x01\xff\xff")
    assert short


def test_the_watchdog_is_fed_once_between_the_halves():
    fed = []
    key = rsa.private_key(keys.THROW_AWAY_1024_PKCS1)
    assert rsa.sign(key, keys.MESSAGE, lambda: fed.append(1)) == keys.SIGNATURE_1024
    assert fed == [1]


def test_a_fault_in_either_half_gives_no_signature():
    # A faulty half and a right signature would give the key away.
    key = rsa.private_key(keys.THROW_AWAY_1024_PKCS1)
    for place in (2, 3, 4, 5, 6):  # p, q, dp, dq, qinv
        faulty = list(key)
        faulty[place] ^= 2
        error = raises(BadInput, rsa.sign, faulty, keys.MESSAGE)
        assert "do not belong together" in error.reason


def test_parts_of_two_keys_are_refused():
    other = rsa.private_key(keys.THROW_AWAY_2048_PKCS1)
    key = list(rsa.private_key(keys.THROW_AWAY_1024_PKCS1))
    key[4] = other[4]
    raises(BadInput, rsa.sign, key, keys.MESSAGE)
    modulus = key[0].to_bytes(128, "big")
    foreign = bytes([modulus[0]]) + bytes([modulus[1] ^ 1]) + modulus[2:]
    der = keys.THROW_AWAY_1024_PKCS1
    refused(der.replace(modulus, foreign))


def test_what_is_no_key_is_refused():
    for junk in (b"", b"\x30", b"\x30\x00", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", bytes(40)):
        refused(junk)
    refused(b"-----BEGIN RSA PRIVATE KEY-----\n")
    refused(b"\x30" * 600)
    zero = b"\x02\x01\x00"
    for e in (b"\x00", b"\x03"):
        parts = zero + zero + b"\x02\x01" + e + zero * 6
        refused(b"\x30" + bytes([len(parts)]) + parts)


def test_a_key_cut_anywhere_is_refused():
    for der in PAIRS[0][:2]:
        for size in range(len(der)):
            refused(der[:size])


def test_a_key_with_any_byte_changed_is_refused_or_does_not_sign():
    for der in PAIRS[0][:2]:
        for at in range(len(der)):
            changed = bytearray(der)
            changed[at] ^= 0x41
            try:
                key = rsa.private_key(bytes(changed))
                signature = rsa.sign(key, keys.MESSAGE)
            except BadInput:
                continue
            # What the change hit is not part of the computation (version, d, algorithm).
            assert signature == keys.SIGNATURE_1024


def test_a_public_or_an_ec_key_is_refused():
    n, e = rsa.private_key(keys.THROW_AWAY_1024_PKCS1)[:2]
    parts = b"\x02\x81\x81\x00" + n.to_bytes(128, "big") + b"\x02\x03" + e.to_bytes(3, "big")
    refused(b"\x30\x81" + bytes([len(parts)]) + parts)
    # SEC 1: version 1, a private key of 32 bytes.
    refused(b"\x30\x25\x02\x01\x01\x04\x20" + bytes(32))


def test_a_key_never_shows_in_an_error():
    der = keys.THROW_AWAY_1024_PKCS1
    error = refused(der[:-1])
    assert "private_key" in str(error)
    assert str(rsa.private_key(der)[2])[:20] not in str(error)
