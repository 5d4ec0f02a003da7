"""Actions on devices that are there."""

import ssl
from typing import Any

from tools.hub import application, events
from tools.hub.broker.broker import Broker
from tools.hub.cloud.actions import (
    V2018,
    V2021,
    Action,
    Actions,
    device_of,
    named_device,
    named_product,
    page,
)
from tools.hub.cloud.creation import MAX_NAMES, check_psk
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import Parameters
from tools.hub.registry import Device

# How an application asks for devices that never told their version.
_NO_VERSION = "None-FirmwareVersion"
_OFFLINE, _ONLINE, _NEVER_ONLINE = 0, 1, 3


class Devices:
    """Over the registry and the broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._registry = broker.context.registry
        self._store = broker.context.store

    def actions(self) -> Actions:
        old = (V2018,)
        return {
            "DescribeDevice": Action(self._describe),
            "DescribeDevices": Action(self._describe_all),
            "DescribeAllDevices": Action(self._describe_everywhere, old),
            "DescribeDeviceClientKey": Action(self._describe_private_key),
            "DeleteDevice": Action(self._delete),
            "UpdateDevicePSK": Action(self._set_secret, (V2021,)),
            "UpdateDeviceAvailableState": Action(self._set_state),
            "UpdateDevicesEnableState": Action(self._set_states),
            "ResetDeviceState": Action(self._reset),
        }

    async def _describe(self, parameters: Parameters) -> dict[str, Any]:
        device = named_device(self._registry, parameters)
        shown = self._shown(device)
        path = device.identity.path
        first = "SELECT MIN(at_ms) FROM event WHERE device = ? AND kind = ?"
        last = "SELECT MAX(at_ms) FROM event WHERE device = ? AND kind = ?"
        for name, sql, kind in (
            ("FirstOnlineTime", first, events.CONNECT),
            ("LastOfflineTime", last, events.DISCONNECT),
        ):
            ((at_ms,),) = self._store.query(sql, (path, kind))
            shown[name] = at_ms // 1000 if at_ms else None
        return shown

    async def _describe_all(self, parameters: Parameters) -> dict[str, Any]:
        product = named_product(self._registry, parameters)
        first, end = page(parameters)
        part = parameters.text("DeviceName", "")
        enabled = parameters.integer("EnableState", most=1) if parameters.has("EnableState") else 2
        matching = [
            device
            for name, device in product.devices.items()
            if part in name and enabled in (int(device.enabled), 2)
        ]
        version = parameters.text("FirmwareVersion", "")
        if version:
            wanted = "" if version == _NO_VERSION else version
            matching = [device for device in matching if self._version(device) == wanted]
        shown = [self._shown(device) for device in matching[first:end]]
        return {"TotalCount": len(matching), "Devices": shown}

    async def _describe_everywhere(self, parameters: Parameters) -> dict[str, Any]:
        first, end = page(parameters)
        everything = [
            {
                "ProductId": product.product_id,
                "ProductName": product.name,
                "DeviceName": name,
                "ResourceId": device.identity.path,
            }
            for product in self._registry.products.values()
            for name, device in product.devices.items()
        ]
        return {"TotalCount": len(everything), "Devices": everything[first:end]}

    async def _describe_private_key(self, parameters: Parameters) -> dict[str, Any]:
        named_device(self._registry, parameters)
        raise CloudError(
            "UnsupportedOperation.ClientCertAlreadyGot",
            "a private key is handed over once, when its device is created; the hub keeps none",
        )

    async def _delete(self, parameters: Parameters) -> dict[str, Any]:
        device = named_device(self._registry, parameters)
        topology = self._broker.services.topology
        if topology.gateway_of(device.identity) is not None:
            raise CloudError(
                "UnauthorizedOperation.DeviceHasAlreadyBindGateway",
                "the device is bound to a gateway; unbind it first",
            )
        if topology.sub_devices(device.identity):
            raise CloudError(
                "UnauthorizedOperation.GatewayHasBindedDevices",
                "the gateway has sub-devices; unbind them first",
            )
        application.remove_device(self._broker, device)
        return {}

    async def _set_secret(self, parameters: Parameters) -> dict[str, Any]:
        device = named_device(self._registry, parameters)
        if device.secret is None:
            raise CloudError(
                "UnauthorizedOperation.ProductNotSupportPSK", "this device logs in by certificate"
            )
        secret = parameters.text("Psk")
        check_psk(secret)
        self._registry.set_secret(device, secret)
        return {}

    async def _set_state(self, parameters: Parameters) -> dict[str, Any]:
        device = named_device(self._registry, parameters)
        self._enable([device], parameters.integer("EnableState", most=1))
        return {}

    async def _set_states(self, parameters: Parameters) -> dict[str, Any]:
        devices = self._named(parameters)
        self._enable(devices, parameters.integer("Status", most=1))
        return {}

    async def _reset(self, parameters: Parameters) -> dict[str, Any]:
        """End the connection and the session, as if the device had never been online."""
        devices = self._named(parameters)
        for device in devices:
            application.end_session(self._broker, device.identity, "the application reset it")
        results = [
            {"DeviceName": device.identity.device_name, "Success": True, "Reason": ""}
            for device in devices
        ]
        return {"SuccessCount": len(results), "ResetDeviceResults": results}

    def _named(self, parameters: Parameters) -> list[Device]:
        """The devices of a list; none is touched when one does not exist."""
        product = named_product(self._registry, parameters)
        names = parameters.texts("DeviceNames", MAX_NAMES)
        return [device_of(product, name) for name in names]

    def _enable(self, devices: list[Device], state: int) -> None:
        for device in devices:
            application.set_enabled(self._broker, device, bool(state))

    def _version(self, device: Device) -> str:
        """What it said that it runs."""
        return self._broker.updates.running(device.identity) or ""

    def _shown(self, device: Device) -> dict[str, Any]:
        product_id, name = device.identity
        online = self._broker.presence.is_online(device.identity)
        activated = device.last_login_ms is not None
        tags = self._store.query(
            "SELECT tag, type, value, name FROM device_tag "
            "WHERE product_id = ? AND device_name = ? ORDER BY tag",
            (product_id, name),
        )
        return {
            "DeviceName": name,
            "Online": _ONLINE if online else _OFFLINE if activated else _NEVER_ONLINE,
            "LoginTime": _seconds(device.last_login_ms) or 0,
            "LastUpdateTime": _seconds(device.last_login_ms or device.created_ms),
            "CreateTime": _seconds(device.created_ms),
            "Version": self._version(device),
            "DevicePsk": device.secret or "",
            "DeviceCert": _pem(device.certificate),
            "DeviceType": 5 if self._registry.product(product_id).kind == "gateway" else 0,
            "CertState": int(device.certificate is not None),
            "EnableState": int(device.enabled),
            "LogLevel": self._broker.services.log_level.get(device.identity),
            "Tags": [
                dict(zip(("Tag", "Type", "Value", "Name"), row, strict=True)) for row in tags
            ],
            "Labels": [],
        }


def _pem(certificate: bytes | None) -> str:
    return ssl.DER_cert_to_PEM_cert(certificate) if certificate else ""


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000
