"""Which images a device takes, and that it refuses all others before it writes a byte."""

from hashlib import sha256

from iothub.errors import UpdateError
from iothub.update import image

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.signed_images import (
    BOARD,
    LONG_PRIVATE,
    LONG_PUBLIC,
    PRIVATE,
    PRODUCT,
    PUBLIC,
    VERSION,
    trailer_bytes,
)

CONTENT = b"IHB\x01" + bytes(range(200))
ROOM = 100000


def check(data, **changes):
    """check() of a trailer on a device that takes it, but for the `changes`."""
    device = {
        "product": PRODUCT,
        "board": BOARD,
        "kinds": {image.BUNDLE: ROOM},
        "floor": 7,
        "file_bytes": None,
        "bytecode": 6,
        "keys": [PUBLIC],
    }
    device.update(changes)
    image.check(image.parse(data), **device)


def refusal(data, **changes):
    error = raises(UpdateError, check, data, **changes)
    assert (error.code, error.phase) == (-5, "update")
    return error.reason


def test_a_trailer_says_what_it_is_of():
    trailer = image.parse(trailer_bytes(CONTENT, unpacked=9000))
    assert trailer.kind == image.BUNDLE
    assert (trailer.product, trailer.board, trailer.version) == (PRODUCT, BOARD, VERSION)
    assert (trailer.size, trailer.sequence, trailer.bytecode) == (len(CONTENT), 7, 6)
    assert trailer.unpacked == 9000
    assert trailer.sha256 == sha256(CONTENT).digest()
    assert len(trailer.signature) == 256


def test_the_right_image_is_taken():
    data = trailer_bytes(CONTENT)
    check(data)
    check(data, file_bytes=len(CONTENT) + image.TRAILER_BYTES)
    check(data, keys=[LONG_PUBLIC, PUBLIC])  # while keys are rotated
    check(trailer_bytes(CONTENT, pair=(LONG_PRIVATE, LONG_PUBLIC)), keys=[LONG_PUBLIC, PUBLIC])
    check(trailer_bytes(CONTENT, bytecode=0))
    check(trailer_bytes(CONTENT, sequence=8))


def test_the_wrong_image_is_refused_with_the_reason():
    assert refusal(trailer_bytes(CONTENT, product="OTHER12345")) == "made for product OTHER12345"
    assert refusal(trailer_bytes(CONTENT, board="esp32")) == "made for board esp32"
    assert refusal(trailer_bytes(CONTENT, kind=2)) == "kind 2 is not for this device"
    assert refusal(trailer_bytes(CONTENT, bytecode=5)) == "has .mpy version 5, not 6"
    assert refusal(trailer_bytes(CONTENT, sequence=6)) == "sequence 6 is older than 7"
    assert refusal(trailer_bytes(CONTENT), file_bytes=715) == "the trailer is of another file"
    check(trailer_bytes(CONTENT, size=ROOM - image.TRAILER_BYTES))
    too_large = trailer_bytes(CONTENT, size=ROOM - image.TRAILER_BYTES + 1)
    assert refusal(too_large) == "100001 bytes, room for 100000"
    assert refusal(trailer_bytes(CONTENT), keys=[LONG_PUBLIC]) == (
        "signed with a key this device does not have"
    )
    assert refusal(trailer_bytes(CONTENT), keys=[]) == (
        "signed with a key this device does not have"
    )


def test_an_unsigned_image_is_taken_where_that_is_allowed_only():
    data = trailer_bytes(CONTENT, pair=None)
    assert refusal(data) == "it is not signed"
    check(data, unsigned=True)
    # Where unsigned ones are allowed, a wrong signature still is none.
    broken = bytearray(trailer_bytes(CONTENT))
    broken[200] ^= 1
    assert refusal(broken, unsigned=True) == "the signature is wrong"


def test_every_flipped_bit_is_seen():
    data = trailer_bytes(CONTENT)
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << at % 8
        raises(UpdateError, check, flipped)


def test_what_is_no_trailer_is_told():
    data = trailer_bytes(CONTENT)
    for broken in (
        b"",
        data[:-1],
        data + b"\x00",
        bytes(512),
        b"\xff" * 512,
        data[256:] + data[:256],
        data[:-1] + b"\x01",  # behind the signature of a shorter key
        data[:6] + b"\x01\x01" + data[8:],  # no size of a key
        data[:92] + b"\xff" * 32 + data[124:],  # a version that is no text
        data[:92] + bytes(32) + data[124:],  # none
        data[:92] + b"1\x002" + data[95:],
    ):
        raises(UpdateError, image.parse, broken)


def test_a_signature_is_compared_as_a_whole_block():
    # With a small exponent, garbage behind the digest would do where the block is only read.
    trailer = image.parse(trailer_bytes(CONTENT))
    n = PRIVATE[0]
    for s in (0, 1, n - 1, n, n + 1):
        trailer.signature = s.to_bytes(256, "big")
        assert not image.is_signed(trailer, PUBLIC)
    trailer.signature = trailer.signature[:255]
    assert not image.is_signed(trailer, PUBLIC)


def test_a_signature_has_one_form():
    n = PRIVATE[0]
    for sequence in range(7, 40):
        trailer = image.parse(trailer_bytes(CONTENT, sequence=sequence))
        same = int.from_bytes(trailer.signature, "big") + n  # modulo n it is the same
        if not same >> 2048:
            assert image.is_signed(trailer, PUBLIC)
            trailer.signature = same.to_bytes(256, "big")
            assert not image.is_signed(trailer, PUBLIC)
            return
    raise AssertionError("none has room for another form")


def test_the_digest_is_compared():
    trailer = image.parse(trailer_bytes(CONTENT))
    image.verify(trailer, sha256(CONTENT).digest())
    error = raises(UpdateError, image.verify, trailer, sha256(CONTENT + b"x").digest())
    assert error.reason == "its SHA-256 is not the one signed"


def esp32_head(chip=0, is_application=True):
    head = bytearray(image.HEAD_BYTES)
    head[0] = 0xE9
    head[12] = chip
    if is_application:
        head[32:36] = b"\x32\x54\xcd\xab"
    return head


def test_an_image_must_begin_as_its_kind():
    bundle = image.parse(trailer_bytes(CONTENT))
    image.check_head(bundle, CONTENT)
    raises(UpdateError, image.check_head, bundle, esp32_head())
    raises(UpdateError, image.check_head, bundle, CONTENT[: image.HEAD_BYTES - 1])
    application = image.parse(trailer_bytes(CONTENT, kind=2))
    image.check_head(application, esp32_head(9), chip=9)
    image.check_head(application, memoryview(esp32_head(9)))
    for head in (CONTENT, b"\xe8" + esp32_head()[1:]):
        error = raises(UpdateError, image.check_head, application, head)
        assert error.reason == "not an ESP32 application"
    error = raises(UpdateError, image.check_head, application, esp32_head(9), chip=5)
    assert error.reason == "made for chip 9, not 5"
    error = raises(UpdateError, image.check_head, application, esp32_head(is_application=False))
    assert error.reason.startswith("a merged file")


def test_without_a_trailer_the_first_bytes_tell_the_kind():
    assert image.kind_of(memoryview(CONTENT)) == image.BUNDLE
    assert image.kind_of(esp32_head()) == image.ESP32_APPLICATION
    for head in (bytes(48), b"\x00" + esp32_head()[:-1], b"IHC\x01" + CONTENT[4:]):
        raises(UpdateError, image.kind_of, head)


def test_a_key_file_has_one_key_or_two():
    def packed(*keys):
        return b"".join([len(key).to_bytes(2, "big") + key for key in keys])

    assert image.load_keys(packed(PUBLIC)) == [PUBLIC]
    assert image.load_keys(packed(PUBLIC, LONG_PUBLIC)) == [PUBLIC, LONG_PUBLIC]
    for broken in (
        b"",
        b"\x01",
        packed(PUBLIC)[:-1],
        packed(PUBLIC[1:]),
        packed(PUBLIC, LONG_PUBLIC, PUBLIC),
    ):
        raises(UpdateError, image.load_keys, broken)
