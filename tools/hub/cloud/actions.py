"""What an action is, and the lookups that most of them begin with."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import Parameters
from tools.hub.registry import Device, Product, Registry, RegistryError

V2018, V2021 = "2018-06-14", "2021-04-08"
VERSIONS = (V2018, V2021)
MAX_PAGE = 250

# Takes the parameters, gives the fields of `Response`. Raises CloudError or RegistryError.
Handler = Callable[[Parameters], Awaitable[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Action:
    """A handler, and the versions of the API that have it."""

    handler: Handler
    versions: tuple[str, ...] = VERSIONS


Actions = Mapping[str, Action]


def page(parameters: Parameters) -> tuple[int, int]:
    """Where a page of a listing begins, and where the next would."""
    offset = parameters.integer("Offset")
    return offset, offset + parameters.integer("Limit", least=1, most=MAX_PAGE)


def named_product(registry: Registry, parameters: Parameters, name: str = "ProductId") -> Product:
    product_id = parameters.text(name)
    try:
        return registry.product(product_id)
    except RegistryError as error:
        raise CloudError("ResourceNotFound.ProductNotExist", str(error)) from None


def named_device(
    registry: Registry,
    parameters: Parameters,
    product_name: str = "ProductId",
    device_name: str = "DeviceName",
) -> Device:
    product = named_product(registry, parameters, product_name)
    return device_of(product, parameters.text(device_name))


def device_of(product: Product, name: str) -> Device:
    device = product.devices.get(name)
    if device is None:
        raise CloudError(
            "ResourceNotFound.DeviceNotExist",
            f"product {product.product_id} has no device {name[:80]}",
        )
    return device
