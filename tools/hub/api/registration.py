"""Routes for dynamic registration: who may, and whose certificates count."""

from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tools.hub.api.errors import ApiError, integer_field, read_object, text_field
from tools.hub.registry import Product, Registry


def routes(registry: Registry) -> list[web.RouteDef]:
    """The routes over one registry."""

    async def show(request: web.Request) -> web.Response:
        return web.json_response(_registration(registry.product(request.match_info["pid"])))

    async def change(request: web.Request) -> web.Response:
        body = await read_object(request)
        product = registry.product(request.match_info["pid"])
        changed = registry.set_registration(
            product.product_id,
            text_field(body, "registration", product.registration),
            integer_field(body, "limit", product.registration_limit),
        )
        return web.json_response(_registration(changed))

    async def set_authority(request: web.Request) -> web.Response:
        pem = text_field(await read_object(request), "certificate_pem")
        certificate = _authority(pem)
        product = registry.set_authority(request.match_info["pid"], certificate)
        return web.json_response(_registration(product))

    path = "/products/{pid}/registration"
    return [
        web.get(path, show),
        web.post(path, change),
        web.post("/products/{pid}/authority", set_authority),
    ]


def _authority(pem: str) -> bytes:
    """The DER of an authority's certificate."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (ValueError, x509.ExtensionNotFound):
        raise ApiError(400, "invalid", "certificate_pem: not an authority's certificate") from None
    if not constraints.value.ca:
        raise ApiError(400, "invalid", "certificate_pem: this one may issue no certificates")
    return certificate.public_bytes(Encoding.DER)


def _registration(product: Product) -> dict[str, Any]:
    return {
        "product_id": product.product_id,
        "registration": product.registration,
        "limit": product.registration_limit,
        "registered": sum(device.registered for device in product.devices.values()),
        "own_authority": product.authority is not None,
    }
