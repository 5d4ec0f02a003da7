"""HMAC (RFC 2104) on hashlib, and the MQTT login of IoT Hub made with it.

The board's hash objects are final after one digest and cannot be copied, and there is no hmac
module; two prepared pads and four hash calls are all there is to it.
"""

import binascii
import hashlib

from iothub.errors import BadInput

SHA256 = "hmacsha256"
SHA1 = "hmacsha1"
_HASHES = {SHA256: hashlib.sha256, SHA1: hashlib.sha1}

# 2038-01-19 is where 32-bit clocks end; 9999-12-31 is past every device's life. Used when the
# clock is not known: the documents allow "far beyond the life of the device".
FAR_FUTURE_S = 253402300799

SDK_APP_ID = "12010126"  # fixed by the documents ("username 字段")

_BLOCK_BYTES = 64
_INNER = int.from_bytes(b"\x36" * _BLOCK_BYTES, "big")
_OUTER = int.from_bytes(b"\x5c" * _BLOCK_BYTES, "big")


class Hmac:
    """HMAC with one key, made ready for many messages. `key` is bytes of any length."""

    def __init__(self, key, algorithm=SHA256):
        try:
            self._hash = _HASHES[algorithm]
        except KeyError:
            raise BadInput("algorithm", "must be hmacsha256 or hmacsha1")
        self.algorithm = algorithm
        if len(key) > _BLOCK_BYTES:
            key = self._hash(key).digest()
        # One big-integer XOR a pad: a loop over 64 bytes costs more than the hashes.
        number = int.from_bytes(key, "big") << (8 * (_BLOCK_BYTES - len(key)))
        self._inner = (number ^ _INNER).to_bytes(_BLOCK_BYTES, "big")
        self._outer = (number ^ _OUTER).to_bytes(_BLOCK_BYTES, "big")

    def digest(self, message):
        """The raw HMAC of `message` (bytes), 32 or 20 bytes."""
        inner = self._hash(self._inner)
        inner.update(message)
        outer = self._hash(self._outer)
        outer.update(inner.digest())
        return outer.digest()

    def __repr__(self):
        return "Hmac(***)"


def mqtt_username(client_id, connection_id, expiry_s=FAR_FUTURE_S, app_id=SDK_APP_ID):
    """The MQTT user name, "PID+DN;sdkappid;connid;expiry" (bytes); PROTOCOL section 1.2.
    `client_id` bytes, `connection_id` a few random letters (str), for the cloud's logs only."""
    return b"%s;%s;%s;%d" % (client_id, app_id.encode(), connection_id.encode(), expiry_s)


def mqtt_password(hmac, username):
    """The MQTT password (bytes) for a user name (bytes): "hex;algorithm". `hmac` is an Hmac keyed
    with the secret's decoded bytes, kept by the caller: its pads are made once."""
    return binascii.hexlify(hmac.digest(username)) + b";" + hmac.algorithm.encode()
