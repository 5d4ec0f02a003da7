"""HMAC against the vectors of RFC 4231 and RFC 2202, and the MQTT login against PROTOCOL's."""

import binascii

from iothub import signing
from iothub.credentials import Secret
from iothub.errors import BadInput
from iothub.signing import SHA1, SHA256, hmac, hmac_key

from host_tests.unit.iothub.expect import raises

# (key, message, HMAC) in hex, RFC 4231 sections 4.2 to 4.8; 4.6 is cut to 128 bits there.
SHA256_VECTORS = (
    (
        b"\x0b" * 20,
        b"Hi There",
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
    ),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (
        b"\xaa" * 20,
        b"\xdd" * 50,
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
    ),
    (
        bytes(range(1, 26)),
        b"\xcd" * 50,
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
    ),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data."
        b" The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
)
# RFC 2202 section 3.
SHA1_VECTORS = (
    (b"\x0b" * 20, b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
    (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
    (b"\xaa" * 20, b"\xdd" * 50, "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
    (bytes(range(1, 26)), b"\xcd" * 50, "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
    (b"\x0c" * 20, b"Test With Truncation", "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04"),
    (
        b"\xaa" * 80,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "aa4ae5e15272d00e95705637ce8a3b55ed402112",
    ),
    (
        b"\xaa" * 80,
        b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
        "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
    ),
)
BLOCK_KEY_BYTES = (0, 1, 63, 64, 65)

PSK = "lDZ6Uqt+I9E0wW7rvDUs7Q=="
USERNAME = b"PRODUCTID1dev01;12010126;abcde;1704363215"
PASSWORDS = (
    (SHA256, b"5b84d3b5beef9f962fd9c4076de8eaf6bbfe3e804f1a1c87c384e1525aa5d642;hmacsha256"),
    (SHA1, b"68af50e37eb0193e64b58725a625cbdf44562f3b;hmacsha1"),
)


def _hex(raw):
    return binascii.hexlify(raw).decode()


def test_hmac_sha256_as_rfc_4231():
    for key, message, expected in SHA256_VECTORS:
        assert _hex(hmac(hmac_key(key, SHA256), message))[: len(expected)] == expected


def test_hmac_sha1_as_rfc_2202():
    for key, message, expected in SHA1_VECTORS:
        assert _hex(hmac(hmac_key(key, SHA1), message)) == expected


def test_sha256_is_the_default():
    key, message, expected = SHA256_VECTORS[0]
    assert _hex(hmac(hmac_key(key), message)) == expected
    assert hmac_key(key) == hmac_key(key, SHA256)


def test_keys_around_the_block_size():
    # A key is padded with zeros to the block, so these two keys are one.
    for size in BLOCK_KEY_BYTES[:4]:
        padded = b"\x5c" * size + b"\0" * (64 - size)
        assert hmac(hmac_key(b"\x5c" * size), b"m") == hmac(hmac_key(padded), b"m")
    # A longer one is replaced by its hash.
    assert hmac(hmac_key(b"\x5c" * 65), b"m") != hmac(hmac_key(b"\x5c" * 64), b"m")
    assert _hex(hmac(hmac_key(b""), b"")) == (
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
    )


def test_a_key_used_once_gives_the_same():
    for size in (0, 1, 16, 63, 64, 65, 131):
        key = b"k" * size
        assert signing.hmac_sha256(key, b"m") == hmac(hmac_key(key), b"m")


def test_one_hmac_signs_many_messages():
    key, message, expected = SHA256_VECTORS[1]
    ready = hmac_key(key)
    for _ in range(3):
        assert _hex(hmac(ready, message)) == expected
        assert _hex(hmac(ready, b"another")) != expected


def test_an_unknown_algorithm_is_refused_by_name():
    for name in ("HmacSha256", "sha256", "", None):
        error = raises(BadInput, hmac_key, b"key", name)
        assert error.field == "algorithm" and "hmacsha256 or hmacsha1" in error.reason


def test_a_ready_key_does_not_show_the_key():
    assert "secret" not in repr(hmac_key(b"secret-key"))


def test_mqtt_username():
    assert signing.mqtt_username(b"PRODUCTID1dev01", "abcde", 1704363215) == USERNAME
    assert signing.mqtt_username(b"PRODUCTID1dev01", "abcde", 1, "21010406") == (
        b"PRODUCTID1dev01;21010406;abcde;1"
    )


def test_without_a_clock_a_login_expires_far_beyond_2038():
    username = signing.mqtt_username(b"PRODUCTID1dev01", "abcde")
    assert int(username.split(b";")[3]) == signing.FAR_FUTURE_S > 2**31


def test_mqtt_password_is_keyed_with_the_decoded_secret():
    secret = Secret(PSK)
    for algorithm, expected in PASSWORDS:
        ready = hmac_key(secret.decoded, algorithm)
        assert signing.mqtt_password(ready, USERNAME) == expected
        assert signing.mqtt_password(hmac_key(secret.text, algorithm), USERNAME) != expected


def test_legacy_registration_vector():
    # PROTOCOL V6: base64 of the HMAC's hex text, which its service will do.
    message = b"deviceName=device_1234&nonce=1439928322&productId=S3EUVBRJLB&timestamp=1568692235"
    digest = hmac(hmac_key(b"8XzjN8rfgFVGDTNTUGau4snA", SHA1), message)
    assert _hex(digest) == "ec8a121a6851c953d40769cf7aa185ec58811cd5"
    assert binascii.b2a_base64(_hex(digest).encode())[:-1] == (
        b"ZWM4YTEyMWE2ODUxYzk1M2Q0MDc2OWNmN2FhMTg1ZWM1ODgxMWNkNQ=="
    )
