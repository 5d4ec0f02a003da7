"""Actions that create devices, one or many, and give out what they log in by."""

from dataclasses import dataclass
from typing import Any

from tools.hub.broker.broker import Broker
from tools.hub.cloud.actions import V2018, Action, Actions, named_product, page
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import Parameters
from tools.hub.provisioning import NewDevice, Provisioning
from tools.hub.registry import Product, RegistryError, check_secret

MAX_NAMES = 100
MAX_TAGS = 10
MAX_TAG_CHARS = 128
MAX_KEPT_TASKS = 100
_TASK_DONE = 2
_INTEGER_TAG, _TEXT_TAG = 1, 2


@dataclass(slots=True)
class _CreationTask:
    """What `CreateMultiDevice` made, kept in memory until it is asked for."""

    product_id: str
    results: list[dict[str, Any]]


class DeviceCreation:
    """Over the provisioning of the hub."""

    def __init__(self, broker: Broker, provisioning: Provisioning) -> None:
        self._registry = broker.context.registry
        self._store = broker.context.store
        self._clock = broker.context.clock
        self._provisioning = provisioning
        self._tasks: dict[str, _CreationTask] = {}

    def actions(self) -> Actions:
        old = (V2018,)
        return {
            "CreateDevice": Action(self._create),
            "CreateMultiDevice": Action(self._create_many, old),
            "DescribeMultiDevTask": Action(self._describe_task, old),
            "DescribeMultiDevices": Action(self._describe_created, old),
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
            check_psk(secret)
        new = await self._add(product, parameters.text("DeviceName"), secret)
        for tag in tags:
            self._store.later(
                "INSERT OR REPLACE INTO device_tag VALUES (?, ?, ?, ?, ?, ?)",
                (*new.device.identity, *tag),
            )
        return {"DeviceName": new.device.identity.device_name, **_credentials(new)}

    async def _add(self, product: Product, name: str, secret: str | None = None) -> NewDevice:
        try:
            if secret is not None:
                device = self._registry.add_device(product.product_id, name, secret=secret)
                return NewDevice(device)
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
        task_id = str(self._clock.now_ms()) + str(len(self._tasks))
        while len(self._tasks) >= MAX_KEPT_TASKS:
            self._tasks.pop(next(iter(self._tasks)))
        self._tasks[task_id] = _CreationTask(product.product_id, results)
        return {"TaskId": task_id}

    async def _describe_task(self, parameters: Parameters) -> dict[str, Any]:
        task_id, _ = self._task(parameters)
        return {"TaskId": task_id, "TaskStatus": _TASK_DONE}

    async def _describe_created(self, parameters: Parameters) -> dict[str, Any]:
        task_id, task = self._task(parameters)
        first, end = page(parameters)
        return {
            "TaskId": task_id,
            "DevicesInfo": task.results[first:end],
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


def check_psk(secret: str) -> None:
    """Raise CloudError unless a secret of the application's own is base64 of a fit length."""
    try:
        check_secret(secret)
    except RegistryError as error:
        raise CloudError("InvalidParameterValue.DefinedPskNotBase64", str(error)) from None


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
