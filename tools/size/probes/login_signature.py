# mypy: ignore-errors
# (runs on the board, with the board's modules)
"""The HMAC-SHA256 of an MQTT user name, against the four hash calls it cannot do without."""

import hashlib

from iothub import signing
from iothub.credentials import Identity, Secret
from iothub.signing import hmac, hmac_key, hmac_sha256

_identity = Identity("ABCDE12345", "thermostat-001")
_secret = Secret("c2l4dGVlbiBieXRlcyEhIQ==")
_username = signing.mqtt_username(_identity.client_id, "QWERT")
_key = _secret.decoded
_inner_pad = bytes(64)
_outer_pad = bytes(64)
_kept = hmac_key(_key)


def _raw():
    inner = hashlib.sha256(_inner_pad)
    inner.update(_username)
    outer = hashlib.sha256(_outer_pad)
    outer.update(inner.digest())
    return outer.digest()


def _fresh_key():
    return hmac_sha256(_key, _username)


def _kept_key():
    return hmac(_kept, _username)


def _password():
    return signing.mqtt_password(_kept, _username)


OPERATIONS = (
    ("raw SHA-256 calls of one HMAC", _raw),
    ("HMAC-SHA256, fresh key", _fresh_key),
    ("HMAC-SHA256, key used again", _kept_key),
    ("MQTT password", _password),
)
RATIOS = (
    ("HMAC-SHA256, fresh key", "raw SHA-256 calls of one HMAC", 1.6),
    ("HMAC-SHA256, key used again", "raw SHA-256 calls of one HMAC", 1.05),
)
