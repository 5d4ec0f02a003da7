"""Dynamic registration: the vectors V3 to V5 of PROTOCOL section 0, and every kind of answer."""

import binascii
import json

from iothub.credentials import Identity
from iothub.errors import BadInput, ProtocolError, ServiceRefused
from iothub.services import register

from host_tests.unit.iothub.aes import decrypt, encrypt
from host_tests.unit.iothub.expect import raises

IDENTITY = Identity("PRODUCTID1", "dev01")
SECRET = b"hzvf5LF9S0isvBhDSauWMaIk"
# product secret, payload, length, whether the device has its own CA's certificate: credentials
VECTORS: tuple = (
    (
        SECRET,
        "s6FB3a1BA/YYbcmSE12XpeDVmQNDcf1QgVD141RRbmmAnFwQfp1ECAu5O016mCOvYlJJ6V59yM4OqQSiWphfTg==",
        53,
        False,
        {"device_secret": "lDZ6Uqt+I9E0wW7rvDUs7Q=="},
    ),
    (b"biraxh1bZv6o2cKSdceR0Vhi", "T1WVr7/6uI5g3M58BSYcAf7FdlwJDNa9YPseIZPw5xE=", 20, True, {}),
    (
        b"8XzjN8rfgFVGDTNTUGau4snA",
        "eHGRUBar9LBPI+mcaHnVEZsj05mSdoZLPhd54hDJXv/2va2rXSpfddgRy5XE/FIS835NjUr5Mhw1AJSg4yGC/w==",
        53,
        False,
        {"device_secret": "7WmFA/MEs+Fy+32QwJWtYw=="},
    ),
)
DER = b"\x30\x82\x01\x00" + bytes(range(256))


def _pem(der, kind):
    text = binascii.b2a_base64(der)[:-1].decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "-----BEGIN %s-----\n%s\n-----END %s-----\n" % (kind, "\n".join(lines), kind)


def _sealed(payload, secret=SECRET, size=None):
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    padded = text + bytes(-len(text) % 16)
    sealed = encrypt(secret[:16], b"0" * 16, padded)
    return {
        "Payload": binascii.b2a_base64(sealed)[:-1].decode(),
        "Len": len(text) if size is None else size,
    }


def _open(found, has_certificate=False):
    return register.credentials(found, SECRET, decrypt, has_certificate)


def test_vectors():
    for secret, payload, size, has_certificate, expected in VECTORS:
        for length in (size, None, 0, "53"):
            found = {"Payload": payload, "Len": length, "State": 0, "RequestId": "x"}
            if length is None:
                del found["Len"]
            assert register.credentials(found, secret, decrypt, has_certificate) == expected


def test_a_certificate_product_gives_certificate_and_key_in_der():
    payload = {
        "encryptionType": 1,
        "clientCert": _pem(DER, "CERTIFICATE") + _pem(b"another", "CERTIFICATE"),
        "clientKey": _pem(DER + b"k", "RSA PRIVATE KEY"),
    }
    assert _open(_sealed(payload)) == {"certificate": DER, "private_key": DER + b"k"}
    payload["clientCert"] = payload["clientCert"].replace("\n", "\\n")  # as one SDK's log shows it
    assert _open(_sealed(payload))["certificate"] == DER


def test_another_kind_than_the_devices_is_refused():
    key = {"encryptionType": 2, "psk": "lDZ6Uqt+I9E0wW7rvDUs7Q=="}
    error = raises(ServiceRefused, _open, _sealed(key), True)
    assert error.code == register.WRONG_KIND and error.phase == "register" and error.hint
    raises(ServiceRefused, _open, _sealed({"encryptionType": 3}))
    raises(ServiceRefused, _open, _sealed({"encryptionType": 2, "psk": ""}))
    issued = {"encryptionType": 1, "clientCert": "c", "clientKey": "k"}
    raises(ServiceRefused, _open, _sealed(issued), True)


def test_what_does_not_decrypt_is_told_without_a_secret():
    good = _sealed({"encryptionType": 2, "psk": "lDZ6Uqt+I9E0wW7rvDUs7Q=="})
    for found in (
        {},
        {"Payload": None},
        {"Payload": ""},
        {"Payload": "AAAA"},
        {"Payload": good["Payload"], "Len": 20},
        _sealed(b"not JSON"),
        _sealed([1]),
        _sealed({}),
        _sealed({"encryptionType": 1}),
        _sealed({"encryptionType": 1, "clientCert": "c", "clientKey": "k"}),
        _sealed({"encryptionType": 2, "psk": "x"}, b"another secret..."),
    ):
        error = raises(ProtocolError, _open, found)
        assert error.phase == "register" and "lDZ6" not in str(error) + repr(error), found


def test_the_body_names_the_device():
    assert json.loads(register.request(IDENTITY)) == {
        "ProductId": "PRODUCTID1",
        "DeviceName": "dev01",
    }


def test_a_certificate_of_ones_own_ca_goes_as_pem():
    found = json.loads(register.request(IDENTITY, DER))
    assert found == {
        "ProductId": "PRODUCTID1",
        "DeviceName": "dev01",
        "EncryptionType": 1,
        "ClientCert": _pem(DER, "CERTIFICATE"),
    }


def test_a_product_secret_has_16_to_32_characters():
    for text in ("x" * 16, "x" * 24, "x" * 32):
        register.check_product_secret(text)
    for text in ("", "x" * 15, "x" * 33, "温" * 20):
        assert raises(BadInput, register.check_product_secret, text).field == "product_secret"
