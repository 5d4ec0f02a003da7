"""Which sub-device belongs to which gateway, and what the application changes of that (document
"拓扑关系管理", PROTOCOL.md 11)."""

from collections.abc import Sequence

from tools.hub import events
from tools.hub.identity import Identity, parse_path
from tools.hub.registry import RegistryError
from tools.hub.services.context import ServiceContext
from tools.hub.services.messages import Json, encode

# The documents name no number. All of a gateway fit in one answer to describe_sub_devices.
MAX_SUB_DEVICES = 150

# The documents' codes.
OK = 0
NOT_BOUND = -1
SYSTEM = -2
BAD_PARAMETER = 801
UNKNOWN_DEVICE = 802
BAD_SIGNATURE = 803
BAD_METHOD = 804
EXPIRED = 805
BOUND_ELSEWHERE = 806
NOT_A_NORMAL_DEVICE = 807
NOT_ALLOWED = 808
BOUND_ALREADY = 809
UNSUPPORTED = 810
_API_CODES = {
    NOT_BOUND: "not_found",
    UNKNOWN_DEVICE: "not_found",
    BOUND_ELSEWHERE: "conflict",
    BOUND_ALREADY: "conflict",
    NOT_ALLOWED: "forbidden",
}


class GatewayRefused(RegistryError):
    """Something with a sub-device that is refused; `result` is the documents' code."""

    def __init__(self, result: int, message: str) -> None:
        super().__init__(_API_CODES.get(result, "invalid"), message)
        self.result = result


class Topology:
    """Bindings, held in memory and written through to the store."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._gateways: dict[Identity, Identity] = {}
        for sub_device, gateway in context.store.query(
            "SELECT sub_device, gateway FROM binding ORDER BY bound_ms, sub_device"
        ):
            bound, by = parse_path(sub_device), parse_path(gateway)
            if bound is not None and by is not None:
                self._gateways[bound] = by
        context.registry.on_removed.append(self._forget)

    # What the application calls; the gateway hears of it. Each raises GatewayRefused, and
    # RegistryError for no such gateway, before anything is changed.

    def sub_devices(self, gateway: Identity) -> list[Identity]:
        """Those bound to a gateway, in the order they were."""
        return [device for device, by in self._gateways.items() if by == gateway]

    def gateway_of(self, device: Identity) -> Identity | None:
        return self._gateways.get(device)

    def bind_all(self, gateway: Identity, devices: Sequence[Identity]) -> None:
        """Bind devices without their signatures."""
        self._check_gateway(gateway)
        for device in devices:
            self.check_bindable(gateway, device)
        if len(self.sub_devices(gateway)) + len(devices) > MAX_SUB_DEVICES:
            raise GatewayRefused(NOT_ALLOWED, f"a gateway has at most {MAX_SUB_DEVICES}")
        for device in devices:
            self.bind(gateway, device)
        self._push_change(gateway, 1, devices)

    def unbind_each(self, gateway: Identity, devices: Sequence[Identity]) -> None:
        self._check_gateway(gateway)
        for device in devices:
            self.check_bound(gateway, device)
        for device in devices:
            self.unbind(device)
        self._push_change(gateway, 0, devices)

    def unbind_all(self, gateway: Identity) -> list[Identity]:
        """Unbind every sub-device; returns them."""
        self._check_gateway(gateway)
        devices = self.sub_devices(gateway)
        for device in devices:
            self.unbind(device)
        self.push(gateway, {"type": "unbind_all"})
        return devices

    def search(self, gateway: Identity, begin: bool) -> None:
        """Tell a gateway to begin, or to end, a search for devices around it."""
        self._check_gateway(gateway)
        if not self._context.presence.is_online(gateway):
            raise RegistryError("offline", f"{gateway.path} is not online")
        self.push(gateway, {"type": "search_devices", "payload": {"status": int(begin)}})

    # What both sides do.

    def check_bindable(self, gateway: Identity, device: Identity) -> None:
        """Raise GatewayRefused unless a gateway may bind a device now."""
        registry = self._context.registry
        account = registry.account(device)
        if account is None:
            raise GatewayRefused(UNKNOWN_DEVICE, f"there is no device {device.path}")
        if registry.products[device.product_id].kind != "normal":
            raise GatewayRefused(NOT_A_NORMAL_DEVICE, "a gateway cannot be bound")
        if not account.enabled:
            raise GatewayRefused(UNSUPPORTED, f"{device.path} is disabled")
        by = self.gateway_of(device)
        if by == gateway:
            raise GatewayRefused(BOUND_ALREADY, f"{device.path} is bound to it already")
        if by is not None:
            raise GatewayRefused(BOUND_ELSEWHERE, f"{device.path} is bound to {by.path}")
        if len(self.sub_devices(gateway)) >= MAX_SUB_DEVICES:
            raise GatewayRefused(NOT_ALLOWED, f"a gateway has at most {MAX_SUB_DEVICES}")

    def check_bound(self, gateway: Identity, device: Identity) -> None:
        """Raise GatewayRefused unless a device is bound to this gateway."""
        if self._context.registry.account(device) is None:
            raise GatewayRefused(UNKNOWN_DEVICE, f"there is no device {device.path}")
        if self.gateway_of(device) != gateway:
            raise GatewayRefused(NOT_BOUND, f"{device.path} is not bound to {gateway.path}")

    def bind(self, gateway: Identity, device: Identity) -> None:
        self._gateways[device] = gateway
        self._context.store.later(
            "INSERT OR REPLACE INTO binding VALUES (?, ?, ?)",
            (device.path, gateway.path, self._context.clock.now_ms()),
        )
        self._record(device, "bound", gateway)

    def unbind(self, device: Identity) -> None:
        """Unbind a device; it is offline then."""
        gateway = self._gateways.pop(device)
        self._context.presence.dropped(device)
        self._context.store.later("DELETE FROM binding WHERE sub_device = ?", (device.path,))
        self._record(device, "unbound", gateway)

    def _record(self, device: Identity, action: str, gateway: Identity) -> None:
        self._context.records.event(
            events.SERVICE, device.path, action=action, gateway=gateway.path
        )

    def push(self, gateway: Identity, message: Json) -> None:
        """Tell a gateway something it did not ask; stored for it if it is away."""
        self._context.store.flush()
        self._context.send(gateway, result_topic(gateway), encode(message), 1)

    def _push_change(self, gateway: Identity, status: int, devices: Sequence[Identity]) -> None:
        payload = {"status": status, "devices": [named(device) for device in devices]}
        self.push(gateway, {"type": "change", "payload": payload})

    def _check_gateway(self, gateway: Identity) -> None:
        registry = self._context.registry
        registry.device(*gateway)
        if registry.product(gateway.product_id).kind != "gateway":
            raise GatewayRefused(NOT_ALLOWED, f"{gateway.path} is of a product of normal devices")

    def _forget(self, device: Identity) -> None:
        """A device is removed, and its bindings with it."""
        gateway = self.gateway_of(device)
        if gateway is not None:
            self.unbind(device)
            self._push_change(gateway, 0, [device])
        for sub_device in self.sub_devices(device):
            self.unbind(sub_device)


def named(device: Identity) -> Json:
    """A device as the documents write one."""
    return {"product_id": device.product_id, "device_name": device.device_name}


def result_topic(gateway: Identity) -> str:
    return f"$gateway/operation/result/{gateway.path}"
