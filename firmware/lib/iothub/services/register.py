"""Dynamic registration: document "动态注册接口说明" and PROTOCOL section 4. Pure: AES is handed
in as decrypt(key, iv, data), all bytes, AES-128-CBC without padding."""

import binascii
import json

from iothub.compat import const
from iothub.errors import BadInput, ProtocolError, ServiceRefused

PATH = "/device/register"
PHASE = "register"

WRONG_KIND = const(3005)  # a number of ours, beside those of services/signed.py
_CERTIFICATE = const(1)
_KEY = const(2)
_BLOCK_BYTES = const(16)
_KEY_BYTES = const(16)
# Sixteen characters "0". The documents' prose says zero bytes; their own example (vector V3), and
# both SDKs, say this.
_IV = b"0000000000000000"
_PEM_LINE_CHARS = const(64)


def request(identity, certificate=None):
    """The body (bytes). `certificate` (DER) is the device's own, where the product trusts a CA of
    its owner."""
    fields = {"ProductId": identity.product_id, "DeviceName": identity.device_name}
    if certificate is not None:
        fields["EncryptionType"] = _CERTIFICATE
        fields["ClientCert"] = _pem(certificate)
    return json.dumps(fields).encode()


def credentials(found, product_secret, decrypt, has_certificate=False):
    """What a registered device proves itself with, from the gateway's answer (services/signed.py):
    {"device_secret": str}, {"certificate": DER, "private_key": DER}, or {} for a device that has a
    certificate of its own CA. `product_secret` is its text (bytes). Raises ProtocolError when it
    does not decrypt to one of these, ServiceRefused when it is another kind than the device's."""
    try:
        sealed = binascii.a2b_base64(found["Payload"])
        size = found.get("Len")
        if not sealed or len(sealed) % _BLOCK_BYTES:
            raise ValueError
        opened = decrypt(product_secret[:_KEY_BYTES], _IV, sealed)
        opened = opened[:size] if type(size) is int and size > 0 else opened
        payload = json.loads(opened.rstrip(b"\0"))
        kind = payload["encryptionType"]
        if has_certificate:
            if kind == _CERTIFICATE and "clientKey" not in payload:
                return {}
        elif kind == _KEY:
            psk = payload["psk"]
            if isinstance(psk, str) and psk:
                return {"device_secret": psk}
        elif kind == _CERTIFICATE:
            return {
                "certificate": _der(payload["clientCert"]),
                "private_key": _der(payload["clientKey"]),
            }
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        # The reason names neither payload nor secret: both are what nobody may see.
        raise ProtocolError("the answer does not decrypt with this product secret", PHASE)
    raise ServiceRefused("the product authenticates its devices in another way", PHASE, WRONG_KIND)


def check_product_secret(text):
    """Raises BadInput unless `text` (str) can be a product secret: PROTOCOL, identity limits."""
    if not 16 <= len(text) <= 32 or len(text.encode()) != len(text):
        raise BadInput("product_secret", "must be 16 to 32 characters")


def _der(pem):
    """The first block of a PEM text as DER."""
    _, begun, rest = pem.partition("-----BEGIN ")
    _, _, rest = rest.partition("-----")
    text, ended, _ = rest.partition("-----END ")
    der = binascii.a2b_base64(text.replace("\\n", ""))
    if not begun or not ended or der[:1] != b"\x30":
        raise ValueError
    return der


def _pem(der):
    text = binascii.b2a_base64(der)[:-1].decode()
    lines = ["-----BEGIN CERTIFICATE-----"]
    for at in range(0, len(text), _PEM_LINE_CHARS):
        lines.append(text[at : at + _PEM_LINE_CHARS])
    lines.append("-----END CERTIFICATE-----\n")
    return "\n".join(lines)
