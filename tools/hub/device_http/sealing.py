"""How registration's answer is encrypted: document "动态注册接口说明", PROTOCOL.md 4. Pure."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_BLOCK_BYTES = 16
_KEY_BYTES = 16
# The documents' prose says zero bytes; their own example decrypts with sixteen "0" only.
_VECTOR = b"0" * _BLOCK_BYTES


def seal(product_secret: str, payload: dict[str, Any]) -> dict[str, Any]:
    """`Len` and `Payload` of an answer: AES-128-CBC, padded with zero bytes."""
    text = json.dumps(payload, separators=(",", ":")).encode()
    worker = Cipher(algorithms.AES(product_secret.encode()[:_KEY_BYTES]), modes.CBC(_VECTOR))
    encryptor = worker.encryptor()
    sealed = encryptor.update(text + bytes(-len(text) % _BLOCK_BYTES)) + encryptor.finalize()
    return {"Len": len(text), "Payload": base64.b64encode(sealed).decode()}
