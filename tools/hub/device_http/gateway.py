"""What the gateway does with a signed request: register, publish, take log lines."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from tools.hub import events
from tools.hub.broker.broker import Broker
from tools.hub.broker.encoder import publish_bytes
from tools.hub.broker.packet import Publish
from tools.hub.device_http import fields as read
from tools.hub.device_http.fields import Fields
from tools.hub.device_http.freshness import Freshness
from tools.hub.device_http.refused import Refused
from tools.hub.device_http.sealing import seal
from tools.hub.device_http.signature import Signature, read_signature
from tools.hub.enrolment import Enrolment, NotEnrolled
from tools.hub.files import FileError
from tools.hub.identity import Identity, is_device_name, is_product_id
from tools.hub.permissions import Forbidden
from tools.hub.registry import Product, RegistryError

REGISTER, PUBLISH, REPORT_LOG = "/device/register", "/device/publish", "/device/reportlog"
MAX_LOG_LINES = 100
MAX_LOG_LINE_CHARS = 2000
_LOG_LEVELS = ("ERR", "WRN", "INF", "DBG")
_CODES = {
    NotEnrolled.SWITCHED_OFF: "UnsupportedOperation.DynamicRegisterSwitchOff",
    NotEnrolled.UNKNOWN_NAME: "ResourceNotFound.DeviceNotExist",
    NotEnrolled.BAD_NAME: "InvalidParameterValue.DeviceName",
    NotEnrolled.LIMIT: "LimitExceeded.DeviceExceedLimit",
    NotEnrolled.DISABLED: "UnauthorizedOperation.DeviceBlocked",
    NotEnrolled.CERTIFICATE: "InvalidParameterValue.ClientCert",
}
_Handler = Callable[[Fields, Signature, str], Awaitable[dict[str, Any]]]


class Request(NamedTuple):
    """A POST as it came. `host` is what its Host field says."""

    path: str
    host: str
    headers: Mapping[str, str]
    body: bytes


class Gateway:
    """One request after the other. `transport` is http or https, for the record."""

    def __init__(self, broker: Broker, enrolment: Enrolment) -> None:
        self._broker = broker
        self._context = broker.context
        self._enrolment = enrolment
        config = broker.context.config
        self._freshness = Freshness(broker.context.clock, config.max_http_skew_s)
        self._handlers: dict[str, _Handler] = {
            REGISTER: self._register,
            PUBLISH: self._publish,
            REPORT_LOG: self._report_log,
        }

    async def answer(self, request: Request, transport: str) -> dict[str, Any]:
        """What the answer holds beside its RequestId; recorded and committed. Raises Refused, or
        StoreError when it could not be."""
        device = sender(request.body)
        try:
            handle = self._handlers.get(request.path)
            if handle is None:
                raise Refused("InvalidAction", f"there are {', '.join(self._handlers)}")
            signature = read_signature(request.headers, request.host, request.path, request.body)
            answer = await handle(read.read_fields(request.body), signature, transport)
        except Refused as refused:
            self._context.records.event(
                events.REFUSED,
                device,
                transport=transport,
                path=request.path[:64],
                code=refused.code,
                reason=str(refused),
            )
            raise
        self._context.store.flush()
        return answer

    async def _register(
        self, fields: Fields, signature: Signature, transport: str
    ) -> dict[str, Any]:
        product = self._product(fields)
        signature.check_secret(product.secret)
        self._freshness.check(signature, product.product_id)
        name = read.text(fields, "DeviceName")
        # The documents say ClientCert, with an EncryptionType; the C SDK sends clientCert alone.
        certificate = read.optional_text(fields, "ClientCert", "clientCert")
        try:
            enrolled = await self._enrolment.enrol(product, name, certificate)
        except NotEnrolled as refused:
            raise Refused(_CODES[refused.why], str(refused)) from None
        except RegistryError as error:
            code = (
                "LimitExceeded.DeviceExceedLimit" if error.code == "limit" else "InvalidParameter"
            )
            raise Refused(code, str(error)) from None
        except FileError as error:
            raise Refused("InternalError", str(error)) from None
        self._context.records.event(
            events.REGISTER,
            enrolled.device.identity.path,
            transport=transport,
            state="new" if enrolled.created else "existed",
        )
        return {**seal(product.secret, enrolled.payload), "State": int(not enrolled.created)}

    async def _publish(
        self, fields: Fields, signature: Signature, transport: str
    ) -> dict[str, Any]:
        identity = self._signed_device(fields, signature)
        qos = read.integer(fields, "Qos")
        if qos not in (0, 1):
            raise Refused("InvalidParameterValue", "Qos: 0 or 1")
        topic, payload = read.text(fields, "TopicName"), _payload(fields)
        most = self._context.config.max_packet_bytes
        if publish_bytes(topic, payload, qos) > most:
            raise Refused(
                "InvalidParameterValue.PayloadOverLimit", f"the packet would be over {most} bytes"
            )
        try:
            self._broker.publish_as(identity, Publish(topic, payload, qos), transport)
        except Forbidden as forbidden:
            raise Refused("UnauthorizedOperation.TopicForbidden", str(forbidden)) from None
        return {}

    async def _report_log(
        self, fields: Fields, signature: Signature, transport: str
    ) -> dict[str, Any]:
        identity = self._signed_device(fields, signature)
        lines = fields.get("Message")
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise Refused("InvalidParameterValue", "Message: must be an array of strings")
        if len(lines) > MAX_LOG_LINES or any(len(line) > MAX_LOG_LINE_CHARS for line in lines):
            raise Refused(
                "LimitExceeded.MessageExceedLimit",
                f"Message: at most {MAX_LOG_LINES} lines of {MAX_LOG_LINE_CHARS} characters",
            )
        if any(line[:3] not in _LOG_LEVELS for line in lines):
            raise Refused(
                "InvalidParameterValue", f"Message: a line begins with {', '.join(_LOG_LEVELS)}"
            )
        for line in lines:
            text = line[3:].removeprefix("|").encode(errors="replace").decode()
            self._context.records.event(
                events.DEVICE_LOG, identity.path, level=line[:3], text=text
            )
        return {}

    def _product(self, fields: Fields) -> Product:
        product_id = read.text(fields, "ProductId")
        product = self._context.registry.products.get(product_id)
        if product is None:
            raise Refused("ResourceNotFound.ProductNotExist", f"no product {product_id[:10]}")
        return product

    def _signed_device(self, fields: Fields, signature: Signature) -> Identity:
        """The device that signed with its own secret or private key."""
        product, name = self._product(fields), read.text(fields, "DeviceName")
        device = product.devices.get(name)
        if device is None:
            raise Refused(
                "ResourceNotFound.DeviceNotExist",
                f"product {product.product_id} has no device {name[:48]}",
            )
        if device.secret is not None:
            signature.check_secret(device.secret)
        elif device.certificate is not None:
            signature.check_certificate(device.certificate)
        if not device.enabled:
            raise Refused(_CODES[NotEnrolled.DISABLED], f"device {name} is disabled")
        self._freshness.check(signature, device.identity.path)
        return device.identity


def sender(body: bytes) -> str | None:
    """PID/DN that a body names, for the record and for faults; nothing is proved by it."""
    try:
        fields = read.read_fields(body)
        identity = Identity(read.text(fields, "ProductId"), read.text(fields, "DeviceName"))
    except Refused:
        return None
    is_one = is_product_id(identity.product_id) and is_device_name(identity.device_name)
    return identity.path if is_one else None


def _payload(fields: Fields) -> bytes:
    payload = read.text(fields, "Payload")
    encoding = read.optional_text(fields, "PayloadEncoding")
    if encoding is None:
        return payload.encode()
    if encoding.lower() != "base64":
        raise Refused("InvalidParameterValue", "PayloadEncoding: base64, or none")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("InvalidParameterValue", "Payload: not base64") from None
