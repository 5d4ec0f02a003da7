"""New devices, with what they log in by and the files a device reads."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from tools.hub.address import Address
from tools.hub.authority import Authority
from tools.hub.files import PRIVATE, PUBLIC, write_files
from tools.hub.identity import Identity
from tools.hub.registry import Device, Registry
from tools.pki import Credential
from tools.pki.issuing import Kind

DEVICES_FOLDER = "devices"
DEVICE_FILE = "device.json"
# The other services of a device.json: by which listener, if it is there, and how that is called.
_SERVICES = {
    "http": {"https": "https", "http": "http"},
    "coap": {"coap": "auto", "coap_udp": "udp"},
}


@dataclass(frozen=True, slots=True)
class NewDevice:
    """`credential` where the product logs in by certificate; `folder` where it was written to."""

    device: Device
    credential: Credential | None = None
    folder: Path | None = None


class Provisioning:
    """Adds devices. A certificate's private key is handed over once and not kept by the hub."""

    def __init__(
        self, registry: Registry, authority: Authority, address: Address, data: Path | None
    ) -> None:
        self._registry = registry
        self._authority = authority
        self._address = address
        self._data = data

    async def add_device(
        self, product_id: str, name: str, key_kind: Kind = "rsa", registered: bool = False
    ) -> NewDevice:
        """Raises RegistryError, or FileError when its files cannot be written.

        `key_kind` is for certificates: the cloud's are RSA, and only RSA signs a wss login.
        `registered`: by dynamic registration.
        """
        product = self._registry.check_new_device(product_id, name)
        if product.auth != "cert":
            return NewDevice(self._registry.add_device(product_id, name, registered=registered))
        # An RSA key takes a tenth of a second, and may take much longer.
        credential = await asyncio.to_thread(
            self._authority.issue_device, product_id + name, key_kind
        )
        # First the files: without them a device would be of no use.
        identity = Identity(product_id, name)
        folder = self._write(self._data, identity, credential) if self._data else None
        device = self._registry.add_device(
            product_id, name, credential.certificate_der, registered
        )
        return NewDevice(device, credential, folder)

    async def credential_pem(self, device: Device) -> tuple[bytes, bytes]:
        """Certificate and private key that a device was given. Where its files are gone, or were
        never written, another certificate takes the place of the old. Raises FileError."""
        kept = self._read(device)
        if kept is not None:
            return kept
        identity = device.identity
        credential = await asyncio.to_thread(
            self._authority.issue_device, identity.client_id, "rsa"
        )
        if self._data is not None:
            self._write(self._data, identity, credential)
        self._registry.set_certificate(device, credential.certificate_der)
        return credential.certificate_pem, credential.key_pem

    def _read(self, device: Device) -> tuple[bytes, bytes] | None:
        if self._data is None:
            return None
        folder = self._data / DEVICES_FOLDER / device.identity.path
        try:
            if (folder / "certificate.der").read_bytes() != device.certificate:
                return None  # of a device of the same name that was removed
            names = ("certificate.pem", "private_key.pem")
            certificate, key = [(folder / name).read_bytes() for name in names]
        except OSError:
            return None
        return certificate, key

    def _write(self, data: Path, identity: Identity, credential: Credential) -> Path:
        folder = (data / DEVICES_FOLDER / identity.path).resolve()
        settings = identity_settings(identity) | {
            "certificate": str(folder / "certificate.der"),
            "private_key": str(folder / "private_key.der"),
            **address_settings(self._address, "tls", data),
        }
        files = {
            "certificate.der": (credential.certificate_der, PUBLIC),
            "certificate.pem": (credential.certificate_pem, PUBLIC),
            "private_key.der": (credential.key_der, PRIVATE),
            "private_key.pem": (credential.key_pem, PRIVATE),
            DEVICE_FILE: (_json(settings), PRIVATE),
        }
        write_files(folder, files)
        return folder


def identity_settings(identity: Identity) -> dict[str, object]:
    """The fields of a device.json that say who the device is."""
    return {
        "product_id": identity.product_id,
        "device_name": identity.device_name,
        "region": "china",
    }


def address_settings(address: Address, transport: str, data: Path) -> dict[str, object]:
    """The fields that say where the hub is, and how to tell that it is the one."""
    settings: dict[str, object] = {
        "host": address.host,
        "port": address.port(transport) or 0,
        "transport": transport,
        "ca": str(authority_file(data).resolve()),
    }
    if transport in ("ws", "wss"):
        settings["websocket_path"] = "/mqtt"
    for service, listeners in _SERVICES.items():
        for listener, way in listeners.items():
            if listener in address.ports:
                port = address.ports[listener]
                settings[service] = {"transport": way, "host": address.host, "port": port}
                break
    return settings


def authority_file(data: Path) -> Path:
    """The hub's trust anchor as a device reads it."""
    return data / "ca" / "ca.der"


def write_settings(path: Path, settings: dict[str, object]) -> None:
    """Write a device.json for its owner only. Raises FileError."""
    write_files(path.parent, {path.name: (_json(settings), PRIVATE)})


def _json(settings: dict[str, object]) -> bytes:
    return (json.dumps(settings, indent=2) + "\n").encode()
