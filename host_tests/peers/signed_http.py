"""A device's signed requests as the documents write them, on CPython's library: the judge of the
hub's HTTP gateway. It shares no code with the hub or the firmware."""

import base64
import hashlib
import hmac
import http.client
import json
import random
import ssl
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HOST = "127.0.0.1"
REGISTER, PUBLISH, REPORT_LOG = "/device/register", "/device/publish", "/device/reportlog"
Json = dict[str, Any]


class SignedHttp:
    """One connection, kept open. `key` is a secret's text or an RSA private key."""

    def __init__(
        self,
        port: int,
        key: str | rsa.RSAPrivateKey,
        authority_pem: str | None = None,
        algorithm: str = "hmacsha256",
    ) -> None:
        self._key = key
        self._algorithm = "rsa-sha256" if isinstance(key, rsa.RSAPrivateKey) else algorithm
        self.connection = http.client.HTTPConnection(HOST, port, timeout=10)
        if authority_pem is not None:
            context = ssl.create_default_context(cadata=authority_pem)
            self.connection = http.client.HTTPSConnection(HOST, port, timeout=10, context=context)

    def post(self, path: str, fields: Json, **headers: str) -> tuple[int, Json]:
        """Status and what is inside `Response`, after it was seen to be whole."""
        return self.send(path, json.dumps(fields).encode(), False, **headers)

    def send(self, path: str, body: bytes, chunked: bool = False, **changed: str):
        headers = self.headers(path, body) | {
            name.replace("_", "-"): value for name, value in changed.items()
        }
        if chunked:
            pieces = iter([body[:10], body[10:]])
            self.connection.request("POST", path, pieces, headers, encode_chunked=True)
        else:
            self.connection.request("POST", path, body, headers)
        return self.answer()

    def answer(self) -> tuple[int, Json]:
        response = self.connection.getresponse()
        answer = json.loads(response.read())
        assert response.headers.get_content_type() == "application/json"
        assert set(answer) == {"Response"} and answer["Response"]["RequestId"]
        return response.status, answer["Response"]

    def headers(self, path: str, body: bytes) -> dict[str, str]:
        timestamp, nonce = str(int(time.time())), str(random.randrange(2**31 - 1))
        lines = ("POST", HOST, path, "", self._algorithm, timestamp, nonce)
        message = "\n".join((*lines, hashlib.sha256(body).hexdigest())).encode()
        if isinstance(self._key, rsa.RSAPrivateKey):
            signature = self._key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        else:
            digest = {"hmacsha256": "sha256", "hmacsha1": "sha1"}[self._algorithm.lower()]
            signature = hmac.digest(self._key.encode(), message, digest)
        return {
            "Content-Type": "application/json; charset=utf-8",
            "X-TC-Algorithm": self._algorithm,
            "X-TC-Timestamp": timestamp,
            "X-TC-Nonce": nonce,
            "X-TC-Signature": base64.b64encode(signature).decode(),
        }

    def close(self) -> None:
        self.connection.close()


def opened(product_secret: str, answer: Json) -> Json:
    """What a registration's answer holds."""
    cipher = Cipher(algorithms.AES(product_secret[:16].encode()), modes.CBC(b"0" * 16))
    worker = cipher.decryptor()
    text = worker.update(base64.b64decode(answer["Payload"])) + worker.finalize()
    assert not text[answer["Len"] :].strip(b"\0")
    found: Json = json.loads(text[: answer["Len"]])
    return found
