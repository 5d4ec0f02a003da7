from iothub.credentials import Identity, Secret
from iothub.errors import BadInput

from host_tests.unit.iothub.expect import raises

PSK = "lDZ6Uqt+I9E0wW7rvDUs7Q=="
PSK_BYTES = b"\x94\x36\x7a\x52\xab\x7e\x23\xd1\x34\xc1\x6e\xeb\xbc\x35\x2c\xed"

# Each holds something an error must not repeat.
BAD_SECRETS = (
    "lDZ6Uqt+I9E0wW7rvDUs7Q",
    "lDZ6Uqt+I9E0wW7rvDUs7Q=",
    "lDZ6Uqt+I9E0wW7rvDUs7Q=== ",
    " lDZ6Uqt+I9E0wW7rvDUs7Q==",
    "lDZ6Uqt+I9E0wW7rvDUs7Q==\n",
    "lDZ6Uqt-I9E0wW7rvDUs7Q==",
    "lDZ6Uqt+I9E0wW7rvDUs7Q==lDZ6",
    "lDZ6Uqt+I9E0wW7rvDUsQ=7=",
    "lDZ6Uqt+I9E0wW7rvDUs7Q-=",
    "lDZ6Uqt+I9E0wW7rvDUs==7Q",
    "lDZ6Uqt+I9E0wW7rvDUs7密==",
    "lDZ6" * 17,
    "====",
    "lDZ6U",
    "lDZ6\ud800",
)


def test_a_secret_has_its_text_and_its_bytes():
    for given in (PSK, PSK.encode()):
        secret = Secret(given)
        assert secret.text == PSK.encode()
        assert secret.decoded == PSK_BYTES


def test_secrets_of_1_to_48_bytes_are_taken():
    for text, size in (("AA==", 1), ("A" * 64, 48), ("hzvf5LF9S0isvBhDSauWMaIk", 18)):
        assert len(Secret(text).decoded) == size


def test_the_last_group_may_hold_bits_that_mean_nothing():
    text = PSK.replace("7Q==", "7R==")
    secret = Secret(text)
    assert (secret.text, secret.decoded) == (text.encode(), PSK_BYTES)


def test_bad_secrets_are_refused_without_repeating_them():
    for text in BAD_SECRETS:
        error = raises(BadInput, Secret, text)
        assert error.field == "device_secret", text
        for shown in (str(error), repr(error), error.reason, str(error.args)):
            assert "lDZ6" not in shown, text


def test_secrets_of_other_types_are_refused():
    for value in (None, 5, b"", "", bytearray(b"AAAA"), ["AAAA"]):
        assert raises(BadInput, Secret, value, "product_secret").field == "product_secret"


def test_a_secret_never_shows_itself():
    secret = Secret(PSK)
    for shown in (repr(secret), str(secret), "%s %r" % (secret, secret), "{}".format([secret])):
        assert "lDZ6" not in shown and "94367a" not in shown and "\\x94" not in shown
        assert "***" in shown


def test_an_identity_gives_client_id_and_topics():
    identity = Identity("PRODUCTID1", "dev01")
    assert identity.client_id == b"PRODUCTID1dev01"
    assert identity.prefix == b"PRODUCTID1/dev01/"
    assert identity.system_topic(b"$sys/operation") == b"$sys/operation/PRODUCTID1/dev01"
    assert repr(identity) == "Identity(PRODUCTID1/dev01)"


def test_the_longest_names_are_taken():
    identity = Identity("P" * 10, "d" * 48)
    assert len(identity.client_id) == 58


def test_every_legal_character_is_taken():
    for c in "09:AZaz-_":
        assert Identity(c, c).client_id == (c + c).encode()


def test_bad_names_are_refused_by_field():
    bad = ("", None, 5, b"dev", "a/b", "a+b", "a#", "a;b", "$a", 'a"b', "a\\b", "a b", "温", "a\n")
    for value in bad + ("x" * 11,):
        assert raises(BadInput, Identity, value, "dev01").field == "product_id", value
    for value in bad + ("x" * 49,):
        assert raises(BadInput, Identity, "PRODUCTID1", value).field == "device_name", value
    for value in "/;@[`{":  # beside the legal ones
        assert raises(BadInput, Identity, "PRODUCTID1", value).field == "device_name", value
