"""An HTTP gateway for tests: PROTOCOL sections 3 and 4 with aiohttp, hmac and cryptography. It
shares no code with what it judges, neither the device's nor the hub's."""

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

HOST = "127.0.0.1"
PRODUCT_ID = "PRODUCTID1"
PRODUCT_SECRET = "hzvf5LF9S0isvBhDSauWMaIk"
DEVICE_SECRET = "lDZ6Uqt+I9E0wW7rvDUs7Q=="

Json = dict[str, Any]


class Refusal(Exception):
    def __init__(self, code: str, message: str = "refused") -> None:
        super().__init__(code)
        self.answer = {"Error": {"Code": code, "Message": message}}


class GatewayServer:
    """`payload(fields)` is what registration gives. `devices` are the registered ones; `requests`
    (path, fields) of all that were signed rightly. `refusal` answers all while it is set."""

    def __init__(self, payload: Callable[[Json], Json], context: ssl.SSLContext | None = None):
        self.devices: list[str] = []
        self.requests: list[tuple[str, Json]] = []
        self.refused: list[str] = []
        self.refusal: Refusal | None = None
        self.keys: dict[str, bytes] = {
            "/device/register": PRODUCT_SECRET.encode(),
            "/device/publish": DEVICE_SECRET.encode(),
            "/device/reportlog": DEVICE_SECRET.encode(),
        }
        self.public_key: rsa.RSAPublicKey | None = None
        self.port = 0
        self._payload = payload
        self._context = context

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_post("/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, 0, ssl_context=self._context)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    def forget_devices(self) -> None:
        """The next registration is a first one."""
        self.devices.clear()

    def secret(self) -> str:
        """What the registered device was given."""
        return DEVICE_SECRET

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            found = self._answer(request, await request.read())
        except Refusal as e:
            self.refused.append(str(e))
            found = e.answer
        return web.json_response({"Response": {**found, "RequestId": "request-1"}})

    def _answer(self, request: web.Request, body: bytes) -> Json:
        assert request.headers["Content-Type"] == "application/json; charset=utf-8"
        self._check_signature(request, body)
        fields = json.loads(body)
        if self.refusal is not None:
            raise self.refusal
        assert fields["ProductId"] == PRODUCT_ID
        self.requests.append((request.path, fields))
        if request.path != "/device/register":
            return {}
        name = fields["DeviceName"]
        existed = name in self.devices
        if not existed:
            self.devices.append(name)
        text = json.dumps(self._payload(fields)).encode()
        cipher = Cipher(algorithms.AES(PRODUCT_SECRET[:16].encode()), modes.CBC(b"0" * 16))
        worker = cipher.encryptor()
        sealed = worker.update(text + bytes(-len(text) % 16)) + worker.finalize()
        payload = base64.b64encode(sealed).decode()
        return {"Len": len(text), "Payload": payload, "State": int(existed)}

    def _check_signature(self, request: web.Request, body: bytes) -> None:
        algorithm = request.headers["X-TC-Algorithm"]
        lines = (
            "POST", request.host.partition(":")[0], request.path, "", algorithm,
            request.headers["X-TC-Timestamp"], request.headers["X-TC-Nonce"],
            hashlib.sha256(body).hexdigest(),
        )  # fmt: skip
        message = "\n".join(lines).encode()
        signature = base64.b64decode(request.headers["X-TC-Signature"], validate=True)
        if algorithm == "rsa-sha256":
            assert self.public_key is not None
            self.public_key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            return
        digest = {"hmacsha256": "sha256", "hmacsha1": "sha1"}[algorithm]
        if not hmac.compare_digest(
            hmac.digest(self.keys[request.path], message, digest), signature
        ):
            raise Refusal("AuthFailure.SignatureFailure")


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
