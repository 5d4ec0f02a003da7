"""The signatures keyed with a secret's text, against the vectors of PROTOCOL section 0."""

from iothub import text_signing
from iothub.credentials import Secret
from iothub.errors import BadInput
from iothub.services.signed import Signer, string_to_sign
from iothub.signing import SHA1, SHA256

from host_tests.unit.iothub.expect import raises

PRODUCT_SECRET = Secret("hzvf5LF9S0isvBhDSauWMaIk", "product_secret")
HOST = "ap-guangzhou.gateway.tencentdevices.com"
BODY = b'{"ProductId":"PRODUCTID1","DeviceName":"dev01"}'
BODY_SHA256 = b"b3731a64"

IOTMQ_KEY = "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA"
# instance, password: V1, V2
IOTMQ_VECTORS = (
    ("mqtt-4wuymbpbs", b"4SSm4Z8rVQZXDEMgAt5CFBA1rVTjYSPbs1lxqRJmnSs="),
    ("mqtt-fludu2t6", b"anoZcbvEjytpjOWQE61+DO5XOU61XyXBKioOE5WCI8s="),
)
HTTP_VECTORS = (
    (SHA256, b"vjiFF4fDA82Pg/NQKiPmg+gn6CH1hLDd1kY7AKovhaE="),
    (SHA1, b"qCm4rnsiXCt8kSYfh9Ac9xkJwVQ="),
)


def _register(algorithm, body=BODY, key=PRODUCT_SECRET.text):
    fields = Signer(key, algorithm).fields(HOST, "/device/register", body, 1551000065, 5456)
    return dict(fields)["X-TC-Signature"].encode()


def test_the_string_to_sign_has_eight_lines():
    text = string_to_sign(HOST, "/device/register", SHA256, 1551000065, 5456, BODY)
    lines = text.split(b"\n")
    assert lines[:7] == [
        b"POST",
        HOST.encode(),
        b"/device/register",
        b"",
        b"hmacsha256",
        b"1551000065",
        b"5456",
    ]
    assert len(lines) == 8 and len(lines[7]) == 64 and lines[7].startswith(BODY_SHA256)


def test_http_signatures():
    for algorithm, expected in HTTP_VECTORS:
        assert _register(algorithm) == expected


def test_an_http_signature_covers_the_body_and_the_text_of_the_key():
    good = _register(SHA256)
    assert _register(SHA256, BODY + b" ") != good
    assert _register(SHA256, BODY, PRODUCT_SECRET.decoded) != good


def test_http_signing_defaults_to_sha256():
    fields = Signer(PRODUCT_SECRET.text).fields(HOST, "/device/register", BODY, 1551000065, 5456)
    assert dict(fields)["X-TC-Signature"].encode() == HTTP_VECTORS[0][1]
    assert raises(BadInput, _register, "md5").field == "algorithm"


def test_iotmq_passwords():
    for instance_id, expected in IOTMQ_VECTORS:
        assert text_signing.iotmq_password(IOTMQ_KEY, "1251762227", instance_id) == expected
