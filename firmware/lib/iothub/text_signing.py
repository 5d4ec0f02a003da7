"""The signatures keyed with a secret's *text*: HTTP requests, gateway binding, IoT MQ login.
Apart from signing.py, so that a device which only speaks MQTT does not carry them."""

import binascii
import hashlib

from iothub.signing import SHA1, SHA256, hmac, hmac_key, hmac_sha256


def http_string_to_sign(host, uri, algorithm, timestamp_s, nonce, body):
    """What an HTTP request signs (bytes); document "签名方法". `body` is exactly what is sent."""
    digest = binascii.hexlify(hashlib.sha256(body).digest()).decode()
    lines = ("POST", host, uri, "", algorithm, str(timestamp_s), str(nonce), digest)
    return "\n".join(lines).encode()


def http_signature(key_text, host, uri, timestamp_s, nonce, body, algorithm=SHA256):
    """X-TC-Signature (bytes): base64, keyed with a secret's *text* (product or device secret)."""
    message = http_string_to_sign(host, uri, algorithm, timestamp_s, nonce, body)
    return _base64(hmac(hmac_key(key_text, algorithm), message))


def gateway_signature(key_text, identity, nonce, timestamp_s, algorithm=SHA1):
    """Signature (bytes) with which a gateway binds a sub-device: base64, keyed with the text of
    the sub-device's secret. The SDKs' form; the documents print it without the second ";"."""
    message = b"%s;%d;%d" % (identity.client_id, nonce, timestamp_s)
    return _base64(hmac(hmac_key(key_text, algorithm), message))


def iotmq_password(secret_key, app_id, instance_id):
    """Password (bytes) of the older IoT MQ service; document "客户端签名计算". All str."""
    message = "Appid=%s&Instanceid=%s&Action=Connect" % (app_id, instance_id)
    return _base64(hmac_sha256(secret_key.encode(), message.encode()))


def _base64(raw):
    return binascii.b2a_base64(raw)[:-1]
