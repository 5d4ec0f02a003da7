"""Actions on devices."""

import ssl
from dataclasses import dataclass
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
)
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import Parameters
from tools.hub.provisioning import NewDevice, Provisioning
from tools.hub.registry import Device, Product, RegistryError, check_secret

MAX_PAGE = 250
MAX_NAMES = 100
MAX_TAGS = 10
MAX_TAG_CHARS = 128
MAX_KEPT_TASKS = 100
_OFFLINE, _ONLINE, _NEVER_ONLINE = 0, 1, 3
_TASK_DONE = 2
_INTEGER_TAG, _TEXT_TAG = 1, 2


@dataclass(slots=True)
class _CreationTask:
    """What `CreateMultiDevice` made, kept in memory until it is asked for."""

    product_id: str
    results: list[dict[str, Any]]


class Devices:
    """Over the registry and the broker."""

    def __init__(self, broker: Broker, provisioning: Provisioning) -> None:
        self._broker = broker
        self._registry = broker.context.registry
        self._store = broker.context.store
        self._provisioning = provisioning
        self._tasks: dict[str, _CreationTask] = {}

    def actions(self) -> Actions:
        old = (V2018,)
        return {
            "CreateDevice": Action(self._create),
            "CreateMultiDevice": Action(self._create_many, old),
            "DescribeMultiDevTask": Action(self._describe_task, old),
            "DescribeMultiDevices": Action(self._describe_created, old),
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

    async def _create(self, parameters: Parameters) -> dict[str, Any]:
        product = named_product(self._registry, parameters)
        tags = _tags(parameters.inner("Attribute"))
        secret = parameters.text("DefinedPsk", "") or None
        if secret is not None and product.auth != "key":
            raise CloudError(
                "UnauthorizedOperation.ProductNotSupportPSK",
                f"devices of product {product.product_id} log in by certificate",
            )
        if parameters.has("TlsCrt"):
            raise CloudError("LimitExceeded.CACertNotSupport", "TlsCrt: register the device by it")
        if secret is not None:
            _check_secret(secret)
        new = await self._add(product, parameters.text("DeviceName"))
        if secret is not None:
            self._registry.set_secret(new.device, secret)
        for tag in tags:
            self._store.later(
                "INSERT OR REPLACE INTO device_tag VALUES (?, ?, ?, ?, ?, ?)",
                (*new.device.identity, *tag),
            )
        return {"DeviceName": new.device.identity.device_name, **_credentials(new)}

    async def _add(self, product: Product, name: str) -> NewDevice:
        try:
            return await self._provisioning.add_device(product.product_id, name)
        except RegistryError as error:
            codes = {
                "conflict": "InvalidParameterValue.DeviceAlreadyExist",
                "limit": "LimitExceeded.DeviceExceedLimit",
            }
            code = codes.get(error.code, "InvalidParameterValue")
            raise CloudError(code, str(error)) from None

    async def _create_many(self, parameters: Parameters) -> dict[str, Any]:
        product = named_product(self._registry, parameters)
        names = parameters.texts("DeviceNames", MAX_NAMES)
        results = []
        for name in names:
            try:
                new = await self._add(product, name)
                results.append({"DeviceName": name, "Result": 0, **_credentials(new)})
            except CloudError as error:
                results.append({"DeviceName": name, "Result": 1, "ErrMsg": str(error)})
        task_id = str(self._broker.context.clock.now_ms()) + str(len(self._tasks))
        while len(self._tasks) >= MAX_KEPT_TASKS:
            self._tasks.pop(next(iter(self._tasks)))
        self._tasks[task_id] = _CreationTask(product.product_id, results)
        return {"TaskId": task_id}

    async def _describe_task(self, parameters: Parameters) -> dict[str, Any]:
        task_id, _ = self._task(parameters)
        return {"TaskId": task_id, "TaskStatus": _TASK_DONE}

    async def _describe_created(self, parameters: Parameters) -> dict[str, Any]:
        task_id, task = self._task(parameters)
        offset, limit = _page(parameters)
        return {
            "TaskId": task_id,
            "DevicesInfo": task.results[offset : offset + limit],
            "TotalDevNum": len(task.results),
        }

    def _task(self, parameters: Parameters) -> tuple[str, _CreationTask]:
        task_id = parameters.text("TaskId")
        task = self._tasks.get(task_id)
        if task is None or task.product_id != parameters.text("ProductId"):
            raise CloudError(
                "ResourceNotFound.CreateMultiDeviceTaskNotExist",
                f"no such task; the hub keeps the last {MAX_KEPT_TASKS} while it runs",
            )
        return task_id, task

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
        offset, limit = _page(parameters)
        part = parameters.text("DeviceName", "")
        enabled = parameters.integer("EnableState", most=1) if parameters.has("EnableState") else 2
        matching = [
            device
            for name, device in product.devices.items()
            if part in name and enabled in (int(device.enabled), 2)
        ]
        page = matching[offset : offset + limit]
        return {"TotalCount": len(matching), "Devices": [self._shown(device) for device in page]}

    async def _describe_everywhere(self, parameters: Parameters) -> dict[str, Any]:
        offset, limit = _page(parameters)
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
        return {"TotalCount": len(everything), "Devices": everything[offset : offset + limit]}

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
        _check_secret(secret)
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
            "Version": "",
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


def _check_secret(secret: str) -> None:
    try:
        check_secret(secret)
    except RegistryError as error:
        raise CloudError("InvalidParameterValue.DefinedPskNotBase64", str(error)) from None


def _page(parameters: Parameters) -> tuple[int, int]:
    return parameters.integer("Offset"), parameters.integer("Limit", least=1, most=MAX_PAGE)


def _tags(attribute: Parameters) -> list[tuple[str, int, str, str]]:
    tags = []
    for each in attribute.inners("Tags", MAX_TAGS):
        kind = each.integer("Type", _TEXT_TAG, _INTEGER_TAG, _TEXT_TAG)
        tag, value, name = each.text("Tag"), each.text("Value"), each.text("Name", "")
        if not tag or max(map(len, (tag, value, name))) > MAX_TAG_CHARS:
            raise CloudError(
                "InvalidParameterValue", f"a tag's texts have at most {MAX_TAG_CHARS} characters"
            )
        tags.append((tag, kind, value, name))
    return tags


def _credentials(new: NewDevice) -> dict[str, str]:
    """What the device logs in by; a private key is in no later answer."""
    shown = {"DevicePsk": new.device.secret or ""}
    if new.credential is not None:
        shown["DeviceCert"] = new.credential.certificate_pem.decode()
        shown["DevicePrivateKey"] = new.credential.key_pem.decode()
    return shown


def _pem(certificate: bytes | None) -> str:
    return ssl.DER_cert_to_PEM_cert(certificate) if certificate else ""


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000
