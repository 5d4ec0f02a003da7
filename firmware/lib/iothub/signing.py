"""HMAC (RFC 2104) on hashlib, and the MQTT login of IoT Hub made with it.

The board's hash objects are final after one digest and cannot be copied, and there is no hmac
module; two prepared pads and four hash calls are all there is to it.
"""

import binascii
from hashlib import sha1, sha256

from iothub.compat import const
from iothub.errors import BadInput

SHA256 = "hmacsha256"
SHA1 = "hmacsha1"

# 2038-01-19 is where 32-bit clocks end; 9999-12-31 is past every device's life. Used when the
# clock is not known: the documents allow "far beyond the life of the device".
FAR_FUTURE_S = 253402300799

SDK_APP_ID = "12010126"  # fixed by the documents ("username 字段")

_from_bytes = int.from_bytes  # looked up once
_BLOCK_BYTES = const(64)
_INNER = _from_bytes(b"\x36" * _BLOCK_BYTES, "little")
_OUTER = _from_bytes(b"\x5c" * _BLOCK_BYTES, "little")


def hmac_key(key, algorithm=SHA256):
    """`key` (bytes of any length) made ready for hmac(), once for many messages. A plain tuple: an
    instance would cost as much as two of the four hashes. It is as secret as the key."""
    if algorithm == SHA256:
        make: type = sha256
    elif algorithm == SHA1:
        make = sha1
    else:
        raise BadInput("algorithm", "must be hmacsha256 or hmacsha1")
    if len(key) > _BLOCK_BYTES:
        key = make(key).digest()
    # One big-integer XOR a pad, where a loop over 64 bytes costs more than the hashes. Being
    # little-endian fills the key up with zeros at its end, as HMAC wants it.
    number = _from_bytes(key, "little")
    inner = (number ^ _INNER).to_bytes(_BLOCK_BYTES, "little")
    return make, inner, (number ^ _OUTER).to_bytes(_BLOCK_BYTES, "little"), algorithm


def hmac(ready_key, message):
    """The raw HMAC (32 or 20 bytes) of `message` (bytes), with a key from hmac_key()."""
    make, inner, outer, _ = ready_key
    inner = make(inner)
    inner.update(message)
    outer = make(outer)
    outer.update(inner.digest())
    return outer.digest()


def hmac_sha256(key, message):
    """HMAC-SHA256 (32 bytes) of `message` with a `key` that is used this once; both bytes. What
    hmac_key() and hmac() do, without what they need to keep a key."""
    make = sha256  # a local name is found faster
    if len(key) > _BLOCK_BYTES:
        key = make(key).digest()
    number = _from_bytes(key, "little")
    inner = make((number ^ _INNER).to_bytes(_BLOCK_BYTES, "little"))
    inner.update(message)
    outer = make((number ^ _OUTER).to_bytes(_BLOCK_BYTES, "little"))
    outer.update(inner.digest())
    return outer.digest()


def mqtt_username(client_id, connection_id, expiry_s=FAR_FUTURE_S, app_id=SDK_APP_ID):
    """The MQTT user name, "PID+DN;sdkappid;connid;expiry" (bytes); PROTOCOL section 1.2.
    `client_id` bytes, `connection_id` a few random letters (str), for the cloud's logs only."""
    return b"%s;%s;%s;%d" % (client_id, app_id.encode(), connection_id.encode(), expiry_s)


def mqtt_password(ready_key, username):
    """The MQTT password (bytes) for a user name (bytes): "hex;algorithm". `ready_key` is
    hmac_key() of the secret's decoded bytes."""
    return binascii.hexlify(hmac(ready_key, username)) + b";" + ready_key[3].encode()
