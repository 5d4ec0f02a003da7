"""The hub's judgement of logins, held to the documents' vectors and to each refusal's code."""

import hashlib
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tools.hub.identity import Identity
from tools.hub.login import ConnackCode, Credentials, Refused, check_login, sign
from tools.hub.transport.stream import Proof
from tools.pki import issue, make_authority

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
    certificate: bytes | None = None


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
    for credentials in proved_ways(user_name):
        assert refusal(credentials) == ConnackCode.BAD_USER_NAME_OR_PASSWORD


def proved_ways(user_name: str | None) -> tuple[Credentials, Credentials]:
    """A login with this user name, rightly signed and by pre-shared key: nothing else is wrong."""
    password = sign(SECRET, user_name or "", hashlib.sha256) + b";hmacsha256"
    signed = replace(GOOD, user_name=user_name, password=password)
    return signed, replace(signed, password=None, proof=Proof(CLIENT_ID))


def test_a_user_name_of_another_device_is_code_5():
    for credentials in proved_ways(USER_NAME.replace("dev01", "dev02")):
        assert refusal(credentials) == ConnackCode.NOT_AUTHORISED
    for credentials in proved_ways(USER_NAME):
        assert check_login(credentials, Directory(), BEFORE_S) == DEVICE


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
    for app_id, expiry in (("21010406", "92233720368547758"), ("12010126", "9" * 20)):
        user_name = f"{CLIENT_ID};{app_id};;{expiry}"
        password = sign(SECRET, user_name, hashlib.sha1) + b";hmacsha1"
        credentials = Credentials(CLIENT_ID, user_name, password)
        assert check_login(credentials, Directory(), BEFORE_S) == DEVICE


def test_each_refusal_has_its_reason_for_the_records():
    for account, credentials, reason in (
        (None, replace(GOOD, client_id="x"), "client id is not PID+DN"),
        (None, replace(GOOD, user_name=None), "no user name"),
        (None, replace(GOOD, password=None), "no password"),
        (None, replace(GOOD, password=b"6" + SHA256[1:]), "wrong signature"),
        (Account(enabled=False), GOOD, "device is disabled"),
    ):
        with pytest.raises(Refused) as caught:
            check_login(credentials, Directory(account), BEFORE_S)
        assert str(caught.value) == caught.value.reason == reason
    for other, what in (("PRODUCTID2dev01", "product"), ("PRODUCTID1dev02", "device")):
        credentials = Credentials(other, USER_NAME.replace(CLIENT_ID, other), SHA256)
        with pytest.raises(Refused, match=f"unknown {what}"):
            check_login(credentials, Directory(), BEFORE_S)


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


def test_a_pre_shared_key_replaces_the_password():
    for password in (None, b"", b"anything", b"0" * 64 + b";hmacsha256"):
        proved = replace(GOOD, password=password, proof=Proof(CLIENT_ID))
        assert check_login(proved, Directory(), BEFORE_S) == DEVICE
    other = replace(GOOD, proof=Proof("PRODUCTID1dev02"))
    assert refusal(other) == ConnackCode.NOT_AUTHORISED
    late = replace(GOOD, proof=Proof(CLIENT_ID))
    assert refusal(late, now_s=AFTER_S) == ConnackCode.BAD_USER_NAME_OR_PASSWORD


AUTHORITY = make_authority("test")
RSA = issue(AUTHORITY, "device", [CLIENT_ID], kind="rsa")
EC = issue(AUTHORITY, "device", [CLIENT_ID], kind="ec")


def certified(credential, **changes) -> Credentials:
    proof = Proof(CLIENT_ID, credential.certificate_der)
    return replace(GOOD, transport="tls", proof=proof, **changes)


def signed(user_name: str = USER_NAME) -> bytes:
    assert isinstance(RSA.key, rsa.RSAPrivateKey)
    signature = RSA.key.sign(user_name.encode(), padding.PKCS1v15(), hashes.SHA256())
    return signature.hex().encode() + b";rsa-sha256"


@pytest.mark.parametrize("credential", [RSA, EC], ids=["rsa", "ec"])
def test_a_certificate_logs_in_with_any_password_or_none(credential):
    directory = Directory(Account(None, True, credential.certificate_der))
    for password in (None, b"", b"anything", SHA256):
        login = certified(credential, password=password)
        assert check_login(login, directory, BEFORE_S) == DEVICE


def test_a_certificate_must_be_the_one_issued_to_the_device():
    account = Account(None, True, RSA.certificate_der)
    again = issue(AUTHORITY, "device", [CLIENT_ID], kind="ec")
    assert refusal(certified(again), account) == ConnackCode.NOT_AUTHORISED
    assert refusal(certified(RSA), Account(None)) == ConnackCode.NOT_AUTHORISED
    other = Proof("PRODUCTID1dev02", RSA.certificate_der)
    assert refusal(replace(GOOD, proof=other), account) == ConnackCode.NOT_AUTHORISED


def test_a_certificate_is_no_login_for_a_product_with_keys():
    login = certified(RSA, password=None)
    assert refusal(login, Account()) == ConnackCode.BAD_USER_NAME_OR_PASSWORD
    assert check_login(certified(RSA), Directory(), BEFORE_S) == DEVICE


def test_a_signature_of_the_user_name_logs_in_over_wss_only():
    account = Account(None, True, RSA.certificate_der)
    login = replace(GOOD, password=signed(), transport="wss")
    assert check_login(login, Directory(account), BEFORE_S) == DEVICE
    for transport in ("tcp", "ws", "tls"):
        assert refusal(replace(login, transport=transport), account) == ConnackCode.NOT_AUTHORISED
    for password in (None, b"anything", SHA256):
        unsigned = replace(login, password=password)
        assert refusal(unsigned, account) == ConnackCode.NOT_AUTHORISED


@pytest.mark.parametrize(
    "password",
    [
        signed(USER_NAME + "0"),
        signed()[2:],
        b"zz" + signed()[2:],
        b";rsa-sha256",
        b"\xff;rsa-sha256",
        b"0" * 512 + b";rsa-sha256",
    ],
)
def test_a_signature_that_is_wrong_is_code_4_even_beside_a_certificate(password):
    account = Account(None, True, RSA.certificate_der)
    alone = replace(GOOD, password=password, transport="wss")
    assert refusal(alone, account) == ConnackCode.BAD_USER_NAME_OR_PASSWORD
    beside = certified(RSA, password=password)
    assert refusal(beside, account) == ConnackCode.BAD_USER_NAME_OR_PASSWORD


def test_a_signature_wants_an_rsa_certificate():
    account = Account(None, True, EC.certificate_der)
    login = replace(GOOD, password=signed(), transport="wss")
    assert refusal(login, account) == ConnackCode.BAD_USER_NAME_OR_PASSWORD


def test_credentials_do_not_show_their_password():
    assert "5b84d3b5" not in repr(GOOD)
