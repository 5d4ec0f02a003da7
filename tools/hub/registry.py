"""Products, devices and topics: held in memory for the broker, written through to the store."""

import base64
import binascii
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass, field

from tools.hub import events
from tools.hub.clock import HubClock
from tools.hub.events import Records
from tools.hub.identity import Identity, is_device_name, is_product_id, parse_client_id
from tools.hub.store import Store
from tools.hub.topics import DEFAULT_TOPICS, Permission, custom_name_fault

MAX_PRODUCT_NAME_CHARS = 64
MAX_PRODUCTS = 2000
MAX_DEVICES_PER_PRODUCT = 10_000
MAX_TOPICS_PER_PRODUCT = 100
DEVICE_SECRET_BYTES = 16
MAX_DEVICE_SECRET_BYTES = 48
# Dynamic registration: refused, for names the product has, or for new ones too.
REGISTRATIONS = ("off", "preset", "auto")
PRODUCT_SECRET_CHARS = 24
_ID_ALPHABET = string.ascii_uppercase + string.digits
_SECRET_ALPHABET = string.ascii_letters + string.digits


class RegistryError(Exception):
    """What was asked for cannot be done. `code` is the API's word for why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Device:
    """One device: a secret (base64 text), or where its product wants that, a certificate (DER)."""

    identity: Identity
    secret: str | None = field(repr=False)
    enabled: bool
    created_ms: int
    last_login_ms: int | None = None
    certificate: bytes | None = field(default=None, repr=False)
    # Created by dynamic registration, and not by a person.
    registered: bool = False


@dataclass(slots=True)
class Product:
    """One product with its topics (the name after `PID/DN/`) and devices by name.

    `registration` is one of REGISTRATIONS, `registration_limit` how many devices it may create;
    `authority` (DER) is the customer's own, which issued its devices' certificates.
    """

    product_id: str
    name: str
    auth: str
    kind: str
    secret: str = field(repr=False)
    created_ms: int
    registration: str = "off"
    registration_limit: int = 0
    authority: bytes | None = field(default=None, repr=False)
    topics: dict[str, Permission] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)


class Registry:
    """Every change is committed before the call returns."""

    def __init__(self, store: Store, clock: HubClock, records: Records) -> None:
        self._store = store
        self._clock = clock
        self._records = records
        self.products: dict[str, Product] = {}
        # Every authority (DER) of a customer's own, for what verifies certificates; it only grows.
        self.authorities: list[bytes] = []
        # Called for a device that is about to be removed.
        self.on_removed: list[Callable[[Identity], None]] = []
        # Called with the product id of a product that was removed.
        self.on_product_removed: list[Callable[[str], None]] = []
        self._load()

    def _load(self) -> None:
        for row in self._store.query(
            "SELECT product_id, name, auth, kind, secret, created_ms, registration, "
            "registration_limit, authority FROM product ORDER BY created_ms, name"
        ):
            product = Product(*row)
            product.topics.update(DEFAULT_TOPICS)
            self.products[product.product_id] = product
            if product.authority is not None:
                self.authorities.append(product.authority)
        for product_id, name, permission in self._store.query("SELECT * FROM product_topic"):
            self.products[product_id].topics[name] = Permission(permission)
        for product_id, name, secret, enabled, *rest in self._store.query(
            "SELECT product_id, name, secret, enabled, created_ms, last_login_ms, certificate, "
            "registered FROM device ORDER BY created_ms, name"
        ):
            device = Device(Identity(product_id, name), secret, bool(enabled), *rest)
            device.registered = bool(device.registered)
            self.products[product_id].devices[name] = device

    # What the login asks.

    def has_product(self, product_id: str) -> bool:
        return product_id in self.products

    def account(self, identity: Identity) -> Device | None:
        product = self.products.get(identity.product_id)
        return product.devices.get(identity.device_name) if product else None

    def key(self, client_id: str) -> bytes | None:
        """The pre-shared key of a device: its secret, decoded."""
        identity = parse_client_id(client_id)
        device = self.account(identity) if identity else None
        return base64.b64decode(device.secret) if device and device.secret else None

    # What the API asks. Each raises RegistryError.

    def product(self, product_id: str) -> Product:
        if not is_product_id(product_id):
            raise RegistryError("invalid", "a product id is 10 upper-case letters or digits")
        product = self.products.get(product_id)
        if product is None:
            raise RegistryError("not_found", f"there is no product {product_id}")
        return product

    def device(self, product_id: str, device_name: str) -> Device:
        device = self.product(product_id).devices.get(device_name)
        if device is None:
            raise RegistryError("not_found", f"product {product_id} has no device {device_name}")
        return device

    def add_product(self, name: str, auth: str = "key", kind: str = "normal") -> Product:
        if not 0 < len(name) <= MAX_PRODUCT_NAME_CHARS or not name.isprintable():
            raise RegistryError(
                "invalid", f"a product name is 1 to {MAX_PRODUCT_NAME_CHARS} printable characters"
            )
        if auth not in ("key", "cert"):
            raise RegistryError("invalid", "auth is key or cert")
        if kind not in ("normal", "gateway"):
            raise RegistryError("invalid", "kind is normal or gateway")
        if any(product.name == name for product in self.products.values()):
            raise RegistryError("conflict", f"there is a product named {name} already")
        if len(self.products) >= MAX_PRODUCTS:
            raise RegistryError("limit", f"a hub holds at most {MAX_PRODUCTS} products")
        product = Product(
            self._free_product_id(),
            name,
            auth,
            kind,
            "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(PRODUCT_SECRET_CHARS)),
            self._clock.now_ms(),
            topics=dict(DEFAULT_TOPICS),
        )
        self._store.later(
            "INSERT INTO product (product_id, name, auth, kind, secret, created_ms) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (product.product_id, name, auth, kind, product.secret, product.created_ms),
        )
        self._commit(None, action="product added", product_id=product.product_id, name=name)
        self.products[product.product_id] = product
        return product

    def check_new_device(self, product_id: str, name: str) -> Product:
        """The product that `add_device` would add to."""
        product = self.product(product_id)
        if not is_device_name(name):
            raise RegistryError(
                "invalid", "a device name is 1 to 48 letters, digits, '_', '-' or ':'"
            )
        if name in product.devices:
            raise RegistryError("conflict", f"product {product_id} has a device {name} already")
        if len(product.devices) >= MAX_DEVICES_PER_PRODUCT:
            raise RegistryError(
                "limit", f"a product holds at most {MAX_DEVICES_PER_PRODUCT} devices"
            )
        return product

    def add_device(
        self,
        product_id: str,
        name: str,
        certificate: bytes | None = None,
        registered: bool = False,
        secret: str | None = None,
    ) -> Device:
        """A device of a certificate product can log in only with the `certificate` (DER) given;
        the `secret` of another (base64 text) is made up unless it is given.

        `registered`: by dynamic registration.
        """
        product = self.check_new_device(product_id, name)
        if product.auth != "key":
            secret = None
        elif secret is None:
            secret = base64.b64encode(secrets.token_bytes(DEVICE_SECRET_BYTES)).decode()
        else:
            check_secret(secret)
        identity, now_ms = Identity(product_id, name), self._clock.now_ms()
        device = Device(identity, secret, True, now_ms, None, certificate, registered)
        self._store.later(
            "INSERT INTO device (product_id, name, secret, enabled, created_ms, certificate, "
            "registered) VALUES (?, ?, ?, 1, ?, ?, ?)",
            (product_id, name, secret, now_ms, certificate, int(registered)),
        )
        action = "device registered" if registered else "device added"
        self._commit(device.identity.path, action=action)
        product.devices[name] = device
        return device

    def set_certificate(self, device: Device, certificate: bytes) -> None:
        """Another certificate (DER) takes the place of the device's."""
        self._store.later(
            "UPDATE device SET certificate = ? WHERE product_id = ? AND name = ?",
            (certificate, *device.identity),
        )
        self._commit(device.identity.path, action="certificate replaced")
        device.certificate = certificate

    def set_registration(self, product_id: str, registration: str, limit: int) -> Product:
        """`registration` is one of REGISTRATIONS; `limit` is how many devices it may create."""
        product = self.product(product_id)
        if registration not in REGISTRATIONS:
            raise RegistryError("invalid", f"registration is one of {', '.join(REGISTRATIONS)}")
        if not 0 <= limit <= MAX_DEVICES_PER_PRODUCT:
            raise RegistryError("invalid", f"a limit is 0 to {MAX_DEVICES_PER_PRODUCT} devices")
        self._store.later(
            "UPDATE product SET registration = ?, registration_limit = ? WHERE product_id = ?",
            (registration, limit, product_id),
        )
        detail = {"registration": registration, "limit": str(limit)}
        self._commit(None, action="registration set", product_id=product_id, **detail)
        product.registration, product.registration_limit = registration, limit
        return product

    def set_authority(self, product_id: str, certificate: bytes) -> Product:
        """Devices of the product have certificates (DER) of an authority of the customer's own."""
        product = self.product(product_id)
        if product.auth != "cert":
            raise RegistryError("invalid", f"the devices of {product_id} log in by key")
        self._store.later(
            "UPDATE product SET authority = ? WHERE product_id = ?", (certificate, product_id)
        )
        self._commit(None, action="authority set", product_id=product_id)
        product.authority = certificate
        self.authorities.append(certificate)
        return product

    def set_enabled(self, device: Device, enabled: bool) -> None:
        self._store.later(
            "UPDATE device SET enabled = ? WHERE product_id = ? AND name = ?",
            (int(enabled), *device.identity),
        )
        action = "device enabled" if enabled else "device disabled"
        self._commit(device.identity.path, action=action)
        device.enabled = enabled

    def set_secret(self, device: Device, secret: str) -> None:
        """Give a device another secret: base64 text. Raises RegistryError."""
        check_secret(secret)
        if device.secret is None:
            raise RegistryError("invalid", "this device logs in by certificate")
        self._store.later(
            "UPDATE device SET secret = ? WHERE product_id = ? AND name = ?",
            (secret, *device.identity),
        )
        self._commit(device.identity.path, action="secret changed")
        device.secret = secret

    def remove_device(self, device: Device) -> None:
        """Forget a device; who keeps something for it hears of it by `on_removed`."""
        for forget in self.on_removed:
            forget(device.identity)
        self._store.later(
            "DELETE FROM device WHERE product_id = ? AND name = ?", tuple(device.identity)
        )
        self._commit(device.identity.path, action="device removed")
        del self.products[device.identity.product_id].devices[device.identity.device_name]

    def remove_product(self, product: Product) -> None:
        """Forget a product that has no devices. Raises RegistryError."""
        product_id = product.product_id
        if product.devices:
            raise RegistryError("conflict", f"product {product_id} has devices; remove them first")
        self._store.later("DELETE FROM product_topic WHERE product_id = ?", (product_id,))
        self._store.later("DELETE FROM product WHERE product_id = ?", (product_id,))
        self._commit(None, action="product removed", product_id=product_id, name=product.name)
        del self.products[product_id]
        for forget in self.on_product_removed:
            forget(product_id)

    def note_login(self, identity: Identity) -> None:
        """Remember when a device last logged in; committed before its CONNACK leaves."""
        device = self.products[identity.product_id].devices[identity.device_name]
        device.last_login_ms = self._clock.now_ms()
        self._store.later(
            "UPDATE device SET last_login_ms = ? WHERE product_id = ? AND name = ?",
            (device.last_login_ms, *identity),
        )

    def add_topic(self, product_id: str, name: str, permission: str) -> None:
        product = self.product(product_id)
        fault = custom_name_fault(name)
        if fault is not None:
            raise RegistryError("invalid", fault)
        if permission not in [each.value for each in Permission]:
            raise RegistryError("invalid", "a permission is pub, sub or both")
        if name in product.topics:
            raise RegistryError("conflict", f"product {product_id} has a topic {name} already")
        if len(product.topics) >= MAX_TOPICS_PER_PRODUCT:
            raise RegistryError("limit", f"a product has at most {MAX_TOPICS_PER_PRODUCT} topics")
        self._store.later(
            "INSERT INTO product_topic VALUES (?, ?, ?)", (product_id, name, permission)
        )
        self._commit(None, action="topic added", product_id=product_id, topic=name)
        product.topics[name] = Permission(permission)

    def change_topic(self, product_id: str, name: str, new_name: str, permission: str) -> None:
        """Give a custom topic another name, another permission, or both."""
        product = self.product(product_id)
        if name in DEFAULT_TOPICS or name not in product.topics:
            raise RegistryError("not_found", f"product {product_id} has no custom topic {name}")
        fault = custom_name_fault(new_name)
        if fault is not None:
            raise RegistryError("invalid", fault)
        if new_name != name and new_name in product.topics:
            raise RegistryError("conflict", f"product {product_id} has a topic {new_name} already")
        self._store.later(
            "UPDATE product_topic SET name = ?, permission = ? WHERE product_id = ? AND name = ?",
            (new_name, Permission(permission).value, product_id, name),
        )
        self._commit(None, action="topic changed", product_id=product_id, topic=new_name)
        del product.topics[name]
        product.topics[new_name] = Permission(permission)

    def remove_topic(self, product_id: str, name: str) -> None:
        product = self.product(product_id)
        if name in DEFAULT_TOPICS:
            raise RegistryError("invalid", f"{name} is a default topic and stays")
        if name not in product.topics:
            raise RegistryError("not_found", f"product {product_id} has no topic {name}")
        self._store.later(
            "DELETE FROM product_topic WHERE product_id = ? AND name = ?", (product_id, name)
        )
        self._commit(None, action="topic removed", product_id=product_id, topic=name)
        del product.topics[name]

    def _commit(self, device: str | None, **detail: str) -> None:
        self._records.event(events.REGISTRY, device, **detail)
        self._store.flush()

    def _free_product_id(self) -> str:
        while True:
            product_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(10))
            if product_id not in self.products:
                return product_id


def check_secret(secret: str) -> None:
    """Raise RegistryError unless `secret` is base64 text of a length that a device may have."""
    try:
        decoded = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raise RegistryError("invalid", "a device secret is base64 text") from None
    if not DEVICE_SECRET_BYTES <= len(decoded) <= MAX_DEVICE_SECRET_BYTES:
        raise RegistryError(
            "invalid",
            f"a device secret decodes to {DEVICE_SECRET_BYTES} to {MAX_DEVICE_SECRET_BYTES} bytes",
        )
