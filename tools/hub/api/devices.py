"""Routes for products, their devices and their topics."""

from typing import Any

from aiohttp import web

from tools.hub import application
from tools.hub.api.errors import ApiError, read_object, text_field
from tools.hub.broker.broker import Broker
from tools.hub.provisioning import Provisioning
from tools.hub.registry import Device, Product
from tools.pki.issuing import Kind


def routes(broker: Broker, provisioning: Provisioning) -> list[web.RouteDef]:
    """The routes over one broker."""
    registry = broker.context.registry

    def named_device(request: web.Request) -> Device:
        return registry.device(request.match_info["pid"], request.match_info["dn"])

    async def add_product(request: web.Request) -> web.Response:
        body = await read_object(request)
        product = registry.add_product(
            text_field(body, "name"),
            text_field(body, "auth", "key"),
            text_field(body, "kind", "normal"),
        )
        shown = _product(product) | {"product_secret": product.secret}
        return web.json_response(shown, status=201)

    async def list_products(_request: web.Request) -> web.Response:
        return web.json_response(
            {"products": [_product(product) for product in registry.products.values()]}
        )

    async def add_device(request: web.Request) -> web.Response:
        body = await read_object(request)
        new = await provisioning.add_device(
            request.match_info["pid"], text_field(body, "name"), _key_kind(body)
        )
        shown = _device(broker, new.device) | {"device_secret": new.device.secret}
        if new.credential is not None:
            shown |= {
                "certificate_pem": new.credential.certificate_pem.decode(),
                "private_key_pem": new.credential.key_pem.decode(),
                "folder": str(new.folder) if new.folder else None,
            }
        return web.json_response(shown, status=201)

    async def list_devices(request: web.Request) -> web.Response:
        product = registry.product(request.match_info["pid"])
        return web.json_response(
            {"devices": [_device(broker, device) for device in product.devices.values()]}
        )

    async def show_device(request: web.Request) -> web.Response:
        return web.json_response(_device(broker, named_device(request)))

    async def enable(request: web.Request) -> web.Response:
        device = named_device(request)
        application.set_enabled(broker, device, True)
        return web.json_response(_device(broker, device))

    async def disable(request: web.Request) -> web.Response:
        device = named_device(request)
        application.set_enabled(broker, device, False)
        return web.json_response(_device(broker, device))

    async def remove_device(request: web.Request) -> web.Response:
        device = named_device(request)
        application.remove_device(broker, device)
        return web.json_response({"removed": device.identity.path})

    async def remove_product(request: web.Request) -> web.Response:
        product = registry.product(request.match_info["pid"])
        registry.remove_product(product)
        return web.json_response({"removed": product.product_id})

    async def list_topics(request: web.Request) -> web.Response:
        product = registry.product(request.match_info["pid"])
        topics = [
            {"topic": name, "permission": permission.value}
            for name, permission in product.topics.items()
        ]
        return web.json_response({"topics": topics})

    async def add_topic(request: web.Request) -> web.Response:
        body = await read_object(request)
        topic, permission = text_field(body, "topic"), text_field(body, "permission")
        registry.add_topic(request.match_info["pid"], topic, permission)
        return web.json_response({"topic": topic, "permission": permission}, status=201)

    async def remove_topic(request: web.Request) -> web.Response:
        topic = request.query.get("topic", "")
        registry.remove_topic(request.match_info["pid"], topic)
        return web.json_response({"removed": topic})

    device_path = "/products/{pid}/devices/{dn}"
    return [
        web.post("/products", add_product),
        web.get("/products", list_products),
        web.post("/products/{pid}/devices", add_device),
        web.get("/products/{pid}/devices", list_devices),
        web.get(device_path, show_device),
        web.delete("/products/{pid}", remove_product),
        web.delete(device_path, remove_device),
        web.post(device_path + "/enable", enable),
        web.post(device_path + "/disable", disable),
        web.get("/products/{pid}/topics", list_topics),
        web.post("/products/{pid}/topics", add_topic),
        web.delete("/products/{pid}/topics", remove_topic),
    ]


def _key_kind(body: dict[str, Any]) -> Kind:
    match text_field(body, "key", "rsa"):
        case "rsa":
            return "rsa"
        case "ec":
            return "ec"
    raise ApiError(400, "invalid", "key: rsa or ec")


def _product(product: Product) -> dict[str, Any]:
    return {
        "product_id": product.product_id,
        "name": product.name,
        "auth": product.auth,
        "kind": product.kind,
        "created_ms": product.created_ms,
        "devices": len(product.devices),
    }


def _device(broker: Broker, device: Device) -> dict[str, Any]:
    session = broker.sessions.get(device.identity)
    gateway = broker.presence.gateway_of(device.identity)
    shown: dict[str, Any] = {
        "product_id": device.identity.product_id,
        "device_name": device.identity.device_name,
        "enabled": device.enabled,
        "online": broker.presence.is_online(device.identity),
        "gateway": gateway.path if gateway else None,
        "created_ms": device.created_ms,
        "last_login_ms": device.last_login_ms,
        "session": None,
        "subscriptions": [
            {"topic": topic, "qos": qos} for topic, qos in broker.subscriptions(device.identity)
        ],
        "stored": 0,
        "unacknowledged": 0,
    }
    if session is not None:
        shown["session"] = {
            "persistent": session.persistent,
            "offline_since_ms": session.offline_since_ms,
        }
        shown["stored"] = len(session.outbound.stored)
        shown["unacknowledged"] = len(session.outbound.in_flight)
    return shown
