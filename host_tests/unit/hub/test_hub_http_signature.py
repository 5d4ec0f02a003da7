"""The HTTP gateway's judgement of signatures and its sealed answers, held to the documents'
vectors; nothing of the device's is used."""

import base64
import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tools.hub.clock import HubClock
from tools.hub.device_http import freshness
from tools.hub.device_http.fields import integer, read_fields, text
from tools.hub.device_http.freshness import Freshness
from tools.hub.device_http.refused import Refused
from tools.hub.device_http.sealing import seal
from tools.hub.device_http.signature import read_signature
from tools.pki import issue, make_authority

# PROTOCOL.md section 0: the regression vectors of HTTP registration.
SECRET = "hzvf5LF9S0isvBhDSauWMaIk"
BODY = b'{"ProductId":"PRODUCTID1","DeviceName":"dev01"}'
HOST, PATH = "ap-guangzhou.gateway.tencentdevices.com", "/device/register"
FIELDS = {"X-TC-Timestamp": "1551000065", "X-TC-Nonce": "5456"}
VECTORS = {
    "sha256": ("hmacsha256", "vjiFF4fDA82Pg/NQKiPmg+gn6CH1hLDd1kY7AKovhaE="),
    "sha1": ("hmacsha1", "qCm4rnsiXCt8kSYfh9Ac9xkJwVQ="),
    "sha1 of a body by sha1, as the C SDK": ("hmacsha1", "cPIQokk5BNd8hCIXs58XhbnRJFQ="),
}
AUTHORITY = make_authority("Test CA")


def signature_of(algorithm, signature, host=HOST, body=BODY, path=PATH, **fields):
    headers = FIELDS | {"X-TC-Algorithm": algorithm, "X-TC-Signature": signature} | fields
    return read_signature(headers, host, path, body)


def signed(algorithm, digest, secret=SECRET, body_digest="sha256", host=HOST):
    """(algorithm, signature) by the documents' rule, written out here once more."""
    hashed = hashlib.new(body_digest, BODY).hexdigest()
    lines = ("POST", host, PATH, "", algorithm, *FIELDS.values(), hashed)
    mac = hmac.new(secret.encode(), "\n".join(lines).encode(), digest).digest()
    return algorithm, base64.b64encode(mac).decode()


@pytest.mark.parametrize("vector", VECTORS)
def test_the_vectors_are_taken(vector):
    signature_of(*VECTORS[vector]).check_secret(SECRET)


@pytest.mark.parametrize(
    ("algorithm", "digest", "body_digest"),
    [
        ("hmacsha256", "sha256", "sha256"),
        ("HmacSha256", "sha256", "sha256"),
        ("hmacsha1", "sha1", "sha256"),
        ("hmacsha1", "sha1", "sha1"),
    ],
)
@pytest.mark.parametrize("host", [HOST, HOST + ":8081", "127.0.0.1:80"])
def test_a_right_signature_is_taken_whatever_the_port(algorithm, digest, body_digest, host):
    name = host.partition(":")[0]
    _, signature = signed(algorithm, digest, body_digest=body_digest, host=name)
    signature_of(algorithm, signature, host).check_secret(SECRET)


@pytest.mark.parametrize(
    "change",
    [
        {"body": BODY + b" "},
        {"host": "other"},
        {"path": "/device/publish"},
        {"X-TC-Timestamp": "1551000066"},
        {"X-TC-Nonce": "5457"},
        {"algorithm": "HmacSha256"},
    ],
    ids=str,
)
def test_whatever_is_changed_is_noticed(change):
    algorithm, signature = signed("hmacsha256", "sha256")
    algorithm = change.pop("algorithm", algorithm)
    with pytest.raises(Refused) as caught:
        signature_of(algorithm, signature, **change).check_secret(SECRET)
    assert caught.value.code == "AuthFailure.SignatureFailure"
    assert SECRET not in str(caught.value) and signature not in str(caught.value)


def test_a_decoded_secret_is_the_wrong_key():
    secret = base64.b64encode(b"0123456789abcdef").decode()
    lines = ("POST", HOST, PATH, "", "hmacsha256", *FIELDS.values())
    hashed = hashlib.sha256(BODY).hexdigest()
    mac = hmac.new(b"0123456789abcdef", "\n".join((*lines, hashed)).encode(), "sha256")
    made = signature_of("hmacsha256", base64.b64encode(mac.digest()).decode())
    with pytest.raises(Refused):
        made.check_secret(secret)


@pytest.mark.parametrize("algorithm", ["rsa-sha256", "RSA_SHA256"])
def test_a_private_key_signs_for_a_certificate(algorithm):
    credential, other = (issue(AUTHORITY, "device", ["PRODUCTID1dev01"], kind="rsa") for _ in "12")
    hashed = hashlib.sha256(BODY).hexdigest()
    lines = ("POST", HOST, PATH, "", algorithm, *FIELDS.values(), hashed)
    assert isinstance(credential.key, RSAPrivateKey)
    raw = credential.key.sign("\n".join(lines).encode(), padding.PKCS1v15(), hashes.SHA256())
    made = signature_of(algorithm, base64.b64encode(raw).decode())
    made.check_certificate(credential.certificate_der)
    for certificate in (other, issue(AUTHORITY, "device", ["PRODUCTID1dev01"], kind="ec")):
        with pytest.raises(Refused):
            made.check_certificate(certificate.certificate_der)
    with pytest.raises(Refused, match="hmacsha256"):
        made.check_secret(SECRET)
    with pytest.raises(Refused, match="rsa-sha256"):
        signature_of(*signed("hmacsha256", "sha256")).check_certificate(credential.certificate_der)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"X-TC-Nonce": ""}, "MissingParameter"),
        ({"X-TC-Nonce": "2147483648"}, "InvalidParameterValue"),
        ({"X-TC-Nonce": "-1"}, "InvalidParameterValue"),
        ({"X-TC-Nonce": "٣"}, "InvalidParameterValue"),
        ({"X-TC-Timestamp": "9" * 14}, "InvalidParameterValue"),
        ({"X-TC-Timestamp": "1e9"}, "InvalidParameterValue"),
        ({"X-TC-Signature": "not base64"}, "AuthFailure.SignatureFailure"),
    ],
    ids=str,
)
def test_malformed_fields_are_refused(fields, code):
    with pytest.raises(Refused) as caught:
        signature_of("hmacsha256", "QUJD", **fields)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("secret", "payload", "size", "sealed"),
    [
        (
            "hzvf5LF9S0isvBhDSauWMaIk",
            {"encryptionType": 2, "psk": "lDZ6Uqt+I9E0wW7rvDUs7Q=="},
            53,
            "s6FB3a1BA/YYbcmSE12XpeDVmQNDcf1QgVD141RRbmmAnFwQfp1ECAu5O016mCOvYlJJ6V59yM4OqQSiWphf"
            "Tg==",
        ),
        (
            "biraxh1bZv6o2cKSdceR0Vhi",
            {"encryptionType": 1},
            20,
            "T1WVr7/6uI5g3M58BSYcAf7FdlwJDNa9YPseIZPw5xE=",
        ),
        (
            "8XzjN8rfgFVGDTNTUGau4snA",
            {"encryptionType": 2, "psk": "7WmFA/MEs+Fy+32QwJWtYw=="},
            53,
            "eHGRUBar9LBPI+mcaHnVEZsj05mSdoZLPhd54hDJXv/2va2rXSpfddgRy5XE/FIS835NjUr5Mhw1AJSg4yGC"
            "/w==",
        ),
    ],
    ids=["V3", "V4", "V5"],
)
def test_answers_are_sealed_as_the_documents_vectors(secret, payload, size, sealed):
    assert seal(secret, payload) == {"Len": size, "Payload": sealed}


def test_a_sealed_answer_fills_whole_blocks():
    for length in range(1, 40):
        payload = {"psk": "x" * length}
        sealed = seal(SECRET, payload)
        cipher = Cipher(algorithms.AES(SECRET[:16].encode()), modes.CBC(b"0" * 16)).decryptor()
        opened = cipher.update(base64.b64decode(sealed["Payload"])) + cipher.finalize()
        assert json.loads(opened[: sealed["Len"]]) == payload
        assert opened[sealed["Len"] :].strip(b"\0") == b"" and len(opened) - sealed["Len"] < 16


def fresh(max_skew_s):
    clock = HubClock(1551000065 - HubClock().now_s())
    return Freshness(clock, max_skew_s)


def test_without_a_window_every_time_is_taken_and_twice():
    made = signature_of("hmacsha256", "QUJD", **{"X-TC-Timestamp": "1609430400"})
    checker = fresh(None)
    for _ in range(2):
        checker.check(made, "PRODUCTID1")


def test_with_a_window_old_and_repeated_requests_are_refused():
    checker = fresh(60)
    for off_s, is_taken in ((-70, False), (-50, True), (50, True), (70, False)):
        made = signature_of("hmacsha256", "QUJD", **{"X-TC-Timestamp": str(1551000065 + off_s)})
        if is_taken:
            checker.check(made, "PRODUCTID1")
            checker.check(made, "PRODUCTID2")
        with pytest.raises(Refused) as caught:
            checker.check(made, "PRODUCTID1")
        assert caught.value.code == "AuthFailure.SignatureExpire"


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(freshness, "MAX_REMEMBERED", 3)
    checker = fresh(60)
    for nonce in range(10):
        checker.check(signature_of("hmacsha256", "QUJD", **{"X-TC-Nonce": str(nonce)}), "P")
    assert len(checker._seen) == 3


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'"x"', b"[" * 100_000, b'{"a":' * 100_000]
)
def test_bodies_that_are_no_object_are_refused(body):
    with pytest.raises(Refused) as caught:
        read_fields(body)
    assert caught.value.code == "InvalidParameter"


def test_fields_of_another_type_are_refused():
    fields = read_fields(b'{"a":1,"b":true,"c":null,"d":"\\ud800","e":"x","f":2.5}')
    for name in "abcdg":
        with pytest.raises(Refused):
            text(fields, name)
    for name in "bcefg":
        with pytest.raises(Refused):
            integer(fields, name)
    assert (text(fields, "e"), integer(fields, "a")) == ("x", 1)
