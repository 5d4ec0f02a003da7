"""`$gateway`: what gateways ask for their sub-devices (documents "拓扑关系管理" and
"代理子设备上下线", PROTOCOL.md 11)."""

from collections.abc import Callable
from typing import Any

from tools.hub.identity import (
    MAX_DEVICE_NAME_CHARS,
    Identity,
    is_device_name,
    is_product_id,
)
from tools.hub.services.binding_signature import (
    METHODS,
    certificate_keys,
    is_signed,
    secret_keys,
)
from tools.hub.services.context import ServiceContext
from tools.hub.services.messages import Json, encode, is_integer, is_text, read_object
from tools.hub.services.topology import (
    BAD_METHOD,
    BAD_PARAMETER,
    BAD_SIGNATURE,
    EXPIRED,
    NOT_ALLOWED,
    OK,
    SYSTEM,
    UNKNOWN_DEVICE,
    UNSUPPORTED,
    GatewayRefused,
    Topology,
    named,
    result_topic,
)

# Of one request; with their results they fit in the packet of the answer.
MAX_DEVICES_PER_REQUEST = 100
# The documents' text calls the time of a signature its expiry, the SDKs send the present time: a
# signature is good until so long after it.
SIGNATURE_VALID_S = 600
_ACKNOWLEDGEMENTS = frozenset({"change", "unbind_all", "search_devices"})


class GatewayMessages:
    """Answers one request with a result for each of its sub-devices."""

    def __init__(self, context: ServiceContext, topology: Topology) -> None:
        self._context = context
        self._topology = topology
        self._requests: dict[str, Callable[[Identity, Identity, Json], None]] = {
            "bind": self._bind,
            "unbind": self._unbind,
            "online": self._bring_online,
            "offline": self._take_offline,
        }

    def handle(self, device: Identity, topic: str, payload: bytes) -> None:
        request = read_object(payload) or {}
        kind = request.get("type")
        if not isinstance(kind, str):
            self._refuse(device, topic, "not a JSON object with a type")
        elif kind == "describe_sub_devices":
            bound = [named(each) for each in self._topology.sub_devices(device)]
            self._answer(device, kind, bound)
        elif kind in _ACKNOWLEDGEMENTS:
            # The documents have the result beside the type, the C SDK within the payload.
            self._context.record(device, topic, f"{kind} acknowledged")
        elif kind not in self._requests:
            self._refuse(device, topic, f"unknown type {kind[:40]!r}")
        else:
            self._do(device, topic, kind, request)

    def _do(self, gateway: Identity, topic: str, kind: str, request: Json) -> None:
        payload = request.get("payload")
        entries = payload.get("devices") if isinstance(payload, dict) else None
        if not isinstance(entries, list) or not 0 < len(entries) <= MAX_DEVICES_PER_REQUEST:
            # There is no place for a result where no device is named.
            self._refuse(
                gateway, topic, f"payload.devices: must list 1 to {MAX_DEVICES_PER_REQUEST}"
            )
            return
        faults = self._context.faults
        fault = faults.take("gateway_refuse", gateway.path) if faults.armed else None
        results = []
        for entry in entries:
            device = _identity(entry)
            result = OK
            try:
                if device is None:
                    raise GatewayRefused(UNKNOWN_DEVICE, "no name of a device")
                if fault is not None:
                    raise GatewayRefused(fault["code"], "a fault asked for it")
                if self._context.registry.products[gateway.product_id].kind != "gateway":
                    raise GatewayRefused(NOT_ALLOWED, "its product is of normal devices")
                self._requests[kind](gateway, device, entry)
            except GatewayRefused as refused:
                result = refused.result
                self._refuse(gateway, topic, f"{kind}: {refused}", result=result)
            results.append((named(device) if device else _echoed(entry)) | {"result": result})
        self._answer(gateway, kind, results)

    def _bind(self, gateway: Identity, device: Identity, entry: Json) -> None:
        signature, method = entry.get("signature"), entry.get("signmethod")
        random, timestamp = entry.get("random"), entry.get("timestamp")
        if not is_text(signature):
            raise GatewayRefused(BAD_PARAMETER, "signature: must be text")
        if not is_integer(random) or not is_integer(timestamp):
            raise GatewayRefused(BAD_PARAMETER, "random, timestamp: must be integers")
        if not isinstance(method, str) or method not in METHODS:
            raise GatewayRefused(BAD_METHOD, f"signmethod: must be {' or '.join(METHODS)}")
        self._topology.check_bindable(gateway, device)
        account = self._context.registry.device(*device)
        keys = []
        match entry.get("authtype"):
            case "psk":
                keys = secret_keys(account.secret) if account.secret else []
            case "certificate":
                keys = certificate_keys(account.certificate) if account.certificate else []
            case _:
                raise GatewayRefused(BAD_PARAMETER, "authtype: must be psk or certificate")
        if not is_signed(signature, keys, method, device, random, timestamp):
            raise GatewayRefused(BAD_SIGNATURE, f"the signature is not {device.path}'s")
        if timestamp + SIGNATURE_VALID_S < self._context.clock.now_s():
            raise GatewayRefused(EXPIRED, f"signed over {SIGNATURE_VALID_S} s ago")
        self._topology.bind(gateway, device)

    def _unbind(self, gateway: Identity, device: Identity, _entry: Json) -> None:
        self._topology.check_bound(gateway, device)
        self._topology.unbind(device)

    def _bring_online(self, gateway: Identity, device: Identity, _entry: Json) -> None:
        self._topology.check_bound(gateway, device)
        presence = self._context.presence
        if not self._context.registry.device(*device).enabled:
            raise GatewayRefused(UNSUPPORTED, f"{device.path} is disabled")
        if presence.is_connected(device):
            raise GatewayRefused(SYSTEM, f"{device.path} has a connection of its own")
        if not presence.is_connected(gateway):
            raise GatewayRefused(SYSTEM, f"{gateway.path} has no connection to be online by")
        presence.carried(device, gateway)

    def _take_offline(self, gateway: Identity, device: Identity, _entry: Json) -> None:
        self._topology.check_bound(gateway, device)
        self._context.presence.dropped(device)

    def _answer(self, gateway: Identity, kind: str, devices: list[Json]) -> None:
        message = {"type": kind, "payload": {"devices": devices}}
        self._context.answer(gateway, result_topic(gateway), encode(message))

    def _refuse(self, gateway: Identity, topic: str, reason: str, **detail: int) -> None:
        self._context.record(gateway, topic, "refused", reason=reason, **detail)


def _identity(entry: Any) -> Identity | None:
    if not isinstance(entry, dict):
        return None
    product_id, device_name = entry.get("product_id"), entry.get("device_name")
    if not isinstance(product_id, str) or not isinstance(device_name, str):
        return None
    if not is_product_id(product_id) or not is_device_name(device_name):
        return None
    return Identity(product_id, device_name)


def _echoed(entry: Any) -> Json:
    """The names of an entry as far as they can be repeated."""
    found: Json = {}
    for name in ("product_id", "device_name"):
        value = entry.get(name) if isinstance(entry, dict) else None
        is_ascii = isinstance(value, str) and value.isascii()
        found[name] = str(value)[:MAX_DEVICE_NAME_CHARS] if is_ascii else ""
    return found
