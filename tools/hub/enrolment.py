"""Dynamic registration: who may, and what it gives (PROTOCOL.md 4).

Asked again, it gives the same answer: a device whose link broke before the answer came just asks
again.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tools.hub.clock import HubClock
from tools.hub.identity import Identity, is_device_name
from tools.hub.provisioning import Provisioning
from tools.hub.registry import Device, Product, Registry

MAX_CERTIFICATE_CHARS = 8192
_CERTIFICATE, _KEY = 1, 2


class NotEnrolled(Exception):
    """Registration is refused; `why` is one of the words below."""

    SWITCHED_OFF = "switched off"
    UNKNOWN_NAME = "unknown name"
    BAD_NAME = "bad name"
    LIMIT = "limit"
    DISABLED = "disabled"
    CERTIFICATE = "certificate"

    def __init__(self, why: str, message: str) -> None:
        super().__init__(message)
        self.why = why


@dataclass(frozen=True, slots=True)
class Enrolled:
    """`payload` is what the answer holds, encrypted; `created` whether the device is new."""

    device: Device
    payload: dict[str, Any]
    created: bool


class Enrolment:
    """Over one registry; certificates are made one at a time."""

    def __init__(self, registry: Registry, provisioning: Provisioning, clock: HubClock) -> None:
        self._registry = registry
        self._provisioning = provisioning
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    async def enrol(self, product: Product, name: str, certificate_pem: str | None) -> Enrolled:
        """Register a device that proved it knows the product's secret. `certificate_pem` is its
        own, of an authority of the customer's. Raises NotEnrolled, RegistryError or FileError."""
        if product.auth == "key":
            known = self._known(product, name)
            device = known or self._registry.add_device(product.product_id, name, registered=True)
            payload = {"encryptionType": _KEY, "psk": device.secret}
            return Enrolled(device, payload, known is None)
        async with self._one_at_a_time:
            known = self._known(product, name)
            if product.authority is not None:
                certificate = self._own(product, product.authority, name, certificate_pem)
                device = self._keep(product, name, known, certificate)
                return Enrolled(device, {"encryptionType": _CERTIFICATE}, known is None)
            device, payload = await self._give(product, name, known)
            return Enrolled(device, payload, known is None)

    async def _give(
        self, product: Product, name: str, known: Device | None
    ) -> tuple[Device, dict[str, Any]]:
        """A certificate and its key, the ones it has for a device that is `known`."""
        device, credential = known, None
        if device is None:
            new = await self._provisioning.add_device(product.product_id, name, registered=True)
            device, credential = new.device, new.credential
        if credential is not None:
            certificate, key = credential.certificate_pem, credential.key_pem
        else:
            certificate, key = await self._provisioning.credential_pem(device)
        payload = {
            "encryptionType": _CERTIFICATE,
            "clientCert": certificate.decode(),
            "clientKey": key.decode(),
        }
        return device, payload

    def _known(self, product: Product, name: str) -> Device | None:
        """The device if it exists; None if it may be created. Raises NotEnrolled."""
        if product.registration == "off":
            raise NotEnrolled(
                NotEnrolled.SWITCHED_OFF,
                f"dynamic registration of product {product.product_id} is switched off",
            )
        if not is_device_name(name):
            raise NotEnrolled(
                NotEnrolled.BAD_NAME,
                "DeviceName: 1 to 48 letters, digits, '_', '-' or ':'",
            )
        device = product.devices.get(name)
        if device is not None:
            if not device.enabled:
                raise NotEnrolled(NotEnrolled.DISABLED, f"device {name} is disabled")
            return device
        if product.registration != "auto":
            raise NotEnrolled(
                NotEnrolled.UNKNOWN_NAME,
                f"product {product.product_id} has no device {name}, and makes none by itself",
            )
        created = sum(each.registered for each in product.devices.values())
        if created >= product.registration_limit:
            raise NotEnrolled(
                NotEnrolled.LIMIT,
                f"{created} devices registered themselves, which is the limit of product "
                f"{product.product_id}",
            )
        return None

    def _keep(
        self, product: Product, name: str, known: Device | None, certificate: bytes
    ) -> Device:
        if known is None:
            return self._registry.add_device(product.product_id, name, certificate, True)
        if known.certificate != certificate:
            self._registry.set_certificate(known, certificate)
        return known

    def _own(self, product: Product, authority: bytes, name: str, pem: str | None) -> bytes:
        """A device's own certificate as DER, once its authority is the product's."""
        if pem is None:
            raise _bad_certificate(
                "ClientCert is missing: the product has an authority of its own"
            )
        if len(pem) > MAX_CERTIFICATE_CHARS:
            raise _bad_certificate(f"ClientCert: over {MAX_CERTIFICATE_CHARS} characters")
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            certificate.verify_directly_issued_by(x509.load_der_x509_certificate(authority))
        except (ValueError, TypeError, InvalidSignature):
            raise _bad_certificate(
                "ClientCert: no certificate (PEM) that the product's authority issued"
            ) from None
        now = datetime.fromtimestamp(self._clock.now_s(), timezone.utc)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise _bad_certificate("ClientCert: not valid today")
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        wanted = Identity(product.product_id, name).client_id
        if [str(each.value) for each in names] != [wanted]:
            raise _bad_certificate(f"ClientCert: its common name is not {wanted}")
        return certificate.public_bytes(Encoding.DER)


def _bad_certificate(message: str) -> NotEnrolled:
    return NotEnrolled(NotEnrolled.CERTIFICATE, message)
