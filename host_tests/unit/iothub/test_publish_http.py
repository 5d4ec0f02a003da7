"""Requests of the HTTP gateway and its answers: vectors of PROTOCOL section 0, and shapes."""

import binascii
import hashlib
import json

from iothub import rsa
from iothub.credentials import Identity
from iothub.errors import BadInput, ProtocolError, ServiceRefused
from iothub.services import publish, signed
from iothub.services.signed import Signer, string_to_sign
from iothub.signing import SHA1, SHA256

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.throw_away_keys import THROW_AWAY_1024_PKCS1

HOST = "ap-guangzhou.gateway.tencentdevices.com"
BODY = b'{"ProductId":"PRODUCTID1","DeviceName":"dev01"}'
IDENTITY = Identity("PRODUCTID1", "dev01")
TOPIC = b"PRODUCTID1/dev01/event"
VECTORS = (
    (SHA256, "vjiFF4fDA82Pg/NQKiPmg+gn6CH1hLDd1kY7AKovhaE="),
    (SHA1, "qCm4rnsiXCt8kSYfh9Ac9xkJwVQ="),
)


def _fields(signer):
    return dict(signer.fields(HOST, "/device/register", BODY, 1551000065, 5456))


def test_the_header_of_a_signed_request():
    for algorithm, signature in VECTORS:
        assert _fields(Signer(b"hzvf5LF9S0isvBhDSauWMaIk", algorithm)) == {
            "Content-Type": "application/json; charset=utf-8",
            "X-TC-Algorithm": algorithm,
            "X-TC-Timestamp": "1551000065",
            "X-TC-Nonce": "5456",
            "X-TC-Signature": signature,
        }


def test_a_device_with_a_certificate_signs_with_its_key():
    fed = []
    fields = _fields(Signer(THROW_AWAY_1024_PKCS1, signed.RSA, lambda: fed.append(1)))
    assert fed == [1], "a watchdog"
    assert fields["X-TC-Algorithm"] == "rsa-sha256"
    signature = binascii.a2b_base64(fields["X-TC-Signature"])
    n, e = rsa.private_key(THROW_AWAY_1024_PKCS1)[:2]
    opened = pow(int.from_bytes(signature, "big"), e, n).to_bytes(len(signature), "big")
    message = string_to_sign(HOST, "/device/register", "rsa-sha256", 1551000065, 5456, BODY)
    assert opened.endswith(hashlib.sha256(message).digest())
    assert opened.startswith(b"\x00\x01\xff\xff")


def test_text_goes_as_it_is_and_bytes_as_base64():
    assert json.loads(publish.request(IDENTITY, TOPIC, '{"t":"温"}', 1)) == {
        "ProductId": "PRODUCTID1",
        "DeviceName": "dev01",
        "TopicName": "PRODUCTID1/dev01/event",
        "Payload": '{"t":"温"}',
        "Qos": 1,
    }
    found = json.loads(publish.request(IDENTITY, TOPIC, b"\x00\xff"))
    assert (found["Payload"], found["PayloadEncoding"], found["Qos"]) == ("AP8=", "base64", 0)


def test_what_cannot_be_published():
    assert raises(BadInput, publish.request, IDENTITY, TOPIC, "", 2).field == "qos"
    assert raises(BadInput, publish.request, IDENTITY, TOPIC, b"x" * 16385).field == "payload"
    assert publish.request(IDENTITY, TOPIC, b"x" * 16384)


def test_an_answer():
    found = signed.answer(200, b'{"Response":{"RequestId":"x","State":1}}', "publish")
    assert found == {"RequestId": "x", "State": 1}


def test_an_error_is_told_by_number_and_in_the_gateways_words():
    for code, message, number in (
        ("AuthFailure.SignatureFailure", "wrong", signed.WRONG_SIGNATURE),
        ("", "Signature check failed", signed.WRONG_SIGNATURE),
        ("LimitExceeded.DeviceExceedLimit", "", signed.LIMIT_REACHED),
        ("ResourceNotFound.DeviceNotExist", "", signed.UNKNOWN_NAME),
        ("", "product not exist", signed.UNKNOWN_NAME),
        ("UnsupportedOperation.RegisterDisabled", "", signed.SWITCHED_OFF),
        ("", "dynamic register switch is closed", signed.SWITCHED_OFF),
        ("InternalError", "busy", 500),
    ):
        body = json.dumps({"Response": {"Error": {"Code": code, "Message": message}}}).encode()
        error = raises(ServiceRefused, signed.answer, 500, body, "register")
        assert (error.code, error.phase) == (number, "register"), code
        assert code in error.reason and message in error.reason
        assert error.hint


def test_an_error_has_a_length_and_no_control_characters():
    body = json.dumps({"Response": {"Error": {"Message": "a\r\n" + "温" * 500}}}).encode()
    reason = raises(ServiceRefused, signed.answer, 200, body, "log").reason
    assert len(reason) <= 120 and reason.startswith("a\\r\\n")


def test_what_is_no_answer():
    for body in (b"", b"<html>", b"[]", b"{}", b'{"Response":1}', b'{"Response":null}', b"\xff"):
        assert raises(ProtocolError, signed.answer, 200, body, "log").phase == "log", body
        assert raises(ServiceRefused, signed.answer, 502, body, "log").code == 502, body
    body = b'{"Response":{"Error":"text"}}'
    raises(ProtocolError, signed.answer, 200, body, "log")
