"""Actions on gateways and the sub-devices bound to them."""

from typing import Any

from tools.hub.cloud.actions import (
    V2021,
    Action,
    Actions,
    device_of,
    named_device,
    named_product,
    page,
)
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import Parameters
from tools.hub.identity import Identity, parse_path
from tools.hub.registry import Registry
from tools.hub.services.topology import (
    BOUND_ALREADY,
    BOUND_ELSEWHERE,
    NOT_ALLOWED,
    NOT_BOUND,
    UNSUPPORTED,
    GatewayRefused,
    Topology,
)
from tools.hub.store import Store

MAX_DEVICES = 100
_CODES = {
    NOT_BOUND: "FailedOperation.ProductNotBind",
    BOUND_ELSEWHERE: "UnauthorizedOperation.DeviceHasAlreadyBindGateway",
    BOUND_ALREADY: "UnauthorizedOperation.DeviceHasAlreadyBindGateway",
    NOT_ALLOWED: "FailedOperation.BindDeviceOverLimit",
    UNSUPPORTED: "UnauthorizedOperation.DeviceIsNotEnabled",
}


class Gateways:
    """Over the hub's topology; the gateway is told of every change."""

    def __init__(self, registry: Registry, topology: Topology, store: Store) -> None:
        self._registry = registry
        self._topology = topology
        self._store = store

    def actions(self) -> Actions:
        return {
            "BindDevices": Action(self._bind),
            "UnbindDevices": Action(self._unbind),
            "DescribeGatewayBindDevices": Action(self._describe, (V2021,)),
        }

    async def _bind(self, parameters: Parameters) -> dict[str, Any]:
        gateway, devices = self._gateway(parameters), self._devices(parameters)
        try:
            self._topology.bind_all(gateway, devices)
        except GatewayRefused as refused:
            raise _refusal(refused) from None
        return {}

    async def _unbind(self, parameters: Parameters) -> dict[str, Any]:
        gateway, devices = self._gateway(parameters), self._devices(parameters)
        try:
            self._topology.unbind_each(gateway, devices)
        except GatewayRefused as refused:
            raise _refusal(refused) from None
        return {}

    async def _describe(self, parameters: Parameters) -> dict[str, Any]:
        gateway = self._gateway(parameters)
        first, end = page(parameters)
        product_id = parameters.text("ProductId", "")
        product = named_product(self._registry, parameters) if product_id else None
        bound = [
            (device, bound_ms)
            for path, bound_ms in self._store.query(
                "SELECT sub_device, bound_ms FROM binding WHERE gateway = ? "
                "ORDER BY bound_ms, sub_device",
                (gateway.path,),
            )
            if (device := parse_path(path)) and product_id in ("", device.product_id)
        ]
        return {
            "TotalCount": len(bound),
            "ProductName": product.name if product else "",
            "Devices": [
                {
                    "ProductId": device.product_id,
                    "DeviceName": device.device_name,
                    "Tags": [],
                    "BindTime": bound_ms // 1000,
                }
                for device, bound_ms in bound[first:end]
            ],
        }

    def _gateway(self, parameters: Parameters) -> Identity:
        product = named_product(self._registry, parameters, "GatewayProductId")
        device = named_device(self._registry, parameters, "GatewayProductId", "GatewayDeviceName")
        if product.kind != "gateway":
            raise CloudError(
                "InvalidParameterValue.DeviceIsNotGateway",
                f"product {product.product_id} is not one of gateways",
            )
        return device.identity

    def _devices(self, parameters: Parameters) -> list[Identity]:
        product = named_product(self._registry, parameters)
        names = parameters.texts("DeviceNames", 10 * MAX_DEVICES)
        if len(names) > MAX_DEVICES:
            raise CloudError(
                "FailedOperation.BindDevicePerOnceOverLimit", f"at most {MAX_DEVICES} at once"
            )
        return [device_of(product, name).identity for name in dict.fromkeys(names)]


def _refusal(refused: GatewayRefused) -> CloudError:
    return CloudError(_CODES.get(refused.result, "FailedOperation"), str(refused))
