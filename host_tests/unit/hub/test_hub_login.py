"""The hub's judgement of logins, held to the documents' vectors and to each refusal's code."""

from dataclasses import dataclass, replace

import pytest

from tools.hub.identity import Identity
from tools.hub.login import ConnackCode, Credentials, Refused, check_login

# PROTOCOL.md section 0, self-computed regression vectors.
SECRET = "lDZ6Uqt+I9E0wW7rvDUs7Q=="
CLIENT_ID = "PRODUCTID1dev01"
USER_NAME = CLIENT_ID + ";12010126;abcde;1704363215"
SHA256 = b"5b84d3b5beef9f962fd9c4076de8eaf6bbfe3e804f1a1c87c384e1525aa5d642;hmacsha256"
SHA1 = b"68af50e37eb0193e64b58725a625cbdf44562f3b;hmacsha1"
BEFORE_S, AFTER_S = 1704363214, 1704363215
GOOD = Credentials(CLIENT_ID, USER_NAME, SHA256)
DEVICE = Identity("PRODUCTID1", "dev01")


@dataclass
class Account:
    secret: str | None = SECRET
    enabled: bool = True


class Directory:
    def __init__(self, account: Account | None = None) -> None:
        self._account = account or Account()

    def has_product(self, product_id):
        return product_id == "PRODUCTID1"

    def account(self, identity):
        return self._account if identity == DEVICE else None


def refusal(credentials: Credentials, account: Account | None = None, now_s: int = BEFORE_S):
    with pytest.raises(Refused) as caught:
        check_login(credentials, Directory(account), now_s)
    assert SECRET not in str(caught.value)
    assert "5b84d3b5" not in str(caught.value), "the right signature must not be told"
    return caught.value.code


@pytest.mark.parametrize("password", [SHA256, SHA1, SHA256.replace(b"hmacsha", b"HmacSha")])
def test_vectors_log_in(password):
    credentials = replace(GOOD, password=password)
    assert check_login(credentials, Directory(), BEFORE_S) == DEVICE


@pytest.mark.parametrize(
    "client_id", ["", "PRODUCTID1", "productid1dev01", "PRODUCTID1dev 01", "PRODUCTID1" + "d" * 49]
)
def test_client_id_that_is_no_identity_is_code_2(client_id):
    assert refusal(replace(GOOD, client_id=client_id)) == ConnackCode.CLIENT_ID_REJECTED


@pytest.mark.parametrize(
    "user_name",
    [
        None,
        "",
        CLIENT_ID,
        USER_NAME + ";",
        CLIENT_ID + ";99999999;abcde;1704363215",
        CLIENT_ID + ";12010126;abcde;",
        CLIENT_ID + ";12010126;abcde;-1",
        CLIENT_ID + ";12010126;abcde;1e9",
        CLIENT_ID + ";12010126;abcde;\u0661",
        CLIENT_ID + ";12010126;abcde;" + "9" * 21,
    ],
)
def test_malformed_user_name_is_code_4(user_name):
    credentials = replace(GOOD, user_name=user_name)
    assert refusal(credentials) == ConnackCode.BAD_USER_NAME_OR_PASSWORD


@pytest.mark.parametrize(
    "password",
    [
        None,
        b"",
        b";hmacsha256",
        SHA256.split(b";")[0],
        SHA256.replace(b"hmacsha256", b"hmacsha1"),
        SHA256.replace(b"hmacsha256", b"md5"),
        SHA256.upper().replace(b"HMACSHA", b"hmacsha"),
        b"6" + SHA256[1:],
        b"\xff\xfe;hmacsha256",
        SHA256 + b";",
    ],
)
def test_wrong_password_is_code_4(password):
    credentials = replace(GOOD, password=password)
    assert refusal(credentials) == ConnackCode.BAD_USER_NAME_OR_PASSWORD


def test_expiry_must_lie_ahead():
    assert refusal(GOOD, now_s=AFTER_S) == ConnackCode.BAD_USER_NAME_OR_PASSWORD


def test_expiry_may_be_very_far_ahead():
    # The C SDK's truncated LONG_MAX and both sdkappids (PROTOCOL.md 1.2).
    from hashlib import sha1

    from tools.hub.login import sign

    for app_id, expiry in (("21010406", "92233720368547758"), ("12010126", "9" * 20)):
        user_name = f"{CLIENT_ID};{app_id};;{expiry}"
        password = sign(SECRET, user_name, sha1) + b";hmacsha1"
        credentials = Credentials(CLIENT_ID, user_name, password)
        assert check_login(credentials, Directory(), BEFORE_S) == DEVICE


def test_not_authorised_is_code_5():
    for other in ("PRODUCTID2dev01", "PRODUCTID1dev02"):
        user_name = USER_NAME.replace(CLIENT_ID, other)
        credentials = Credentials(other, user_name, SHA256)
        assert refusal(credentials) == ConnackCode.NOT_AUTHORISED
    mismatch = replace(GOOD, client_id="PRODUCTID1dev02")
    assert refusal(mismatch) == ConnackCode.NOT_AUTHORISED
    assert refusal(GOOD, Account(enabled=False)) == ConnackCode.NOT_AUTHORISED
    assert refusal(GOOD, Account(secret=None)) == ConnackCode.NOT_AUTHORISED


def test_a_disabled_device_learns_so_only_when_signed():
    forged = replace(GOOD, password=b"0" * 64 + b";hmacsha256")
    account = Account(enabled=False)
    assert refusal(forged, account) == ConnackCode.BAD_USER_NAME_OR_PASSWORD


def test_an_identity_the_transport_proved_replaces_the_password():
    proved = replace(GOOD, password=None, proved_identity=CLIENT_ID)
    assert check_login(proved, Directory(Account(secret=None)), BEFORE_S) == DEVICE
    other = replace(GOOD, proved_identity="PRODUCTID1dev02")
    assert refusal(other) == ConnackCode.NOT_AUTHORISED
