"""Actions on products, their topics and their dynamic registration."""

import re
from typing import Any

from tools.hub.cloud.actions import Action, Actions, named_product, page
from tools.hub.cloud.errors import CloudError
from tools.hub.cloud.parameters import Parameters
from tools.hub.registry import MAX_DEVICES_PER_PRODUCT, Product, Registry, RegistryError
from tools.hub.store import Store
from tools.hub.topics import Permission

MAX_DESCRIPTION_CHARS = 500
_NAME = re.compile(r"[A-Za-z0-9:_-]{1,32}")
_AUTH = {"1": "cert", "2": "key"}
_KINDS = {0: "normal", 5: "gateway"}
_FORMATS = ("json", "custom")
_REGISTRATIONS = ("off", "preset", "auto")
_PRIVILEGES = {1: Permission.PUB, 2: Permission.SUB, 3: Permission.BOTH}


class Products:
    """Over the registry; description and format are kept beside it."""

    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry = registry
        self._store = store

    def actions(self) -> Actions:
        return {
            "CreateProduct": Action(self._create),
            "DescribeProduct": Action(self._describe),
            "DescribeProducts": Action(self._describe_all),
            "DeleteProduct": Action(self._delete),
            "UpdateProductDynamicRegister": Action(self._set_registration),
            "CreateTopicPolicy": Action(self._create_topic),
            "UpdateTopicPolicy": Action(self._update_topic),
        }

    async def _create(self, parameters: Parameters) -> dict[str, Any]:
        name = parameters.text("ProductName")
        if not _NAME.fullmatch(name):
            raise CloudError(
                "InvalidParameterValue",
                "ProductName must be 1 to 32 letters, digits, ':', '_' or '-'",
            )
        properties = parameters.inner("ProductProperties")
        auth = _AUTH.get(properties.text("EncryptionType", "1"))
        if auth is None:
            raise CloudError(
                "InvalidParameterValue", "EncryptionType is 1 (certificate) or 2 (key)"
            )
        kind = _KINDS.get(properties.integer("ProductType", 0))
        if kind is None:
            raise CloudError(
                "InvalidParameterValue.ProductTypeNotSupport",
                "ProductType is 0 (normal) or 5 (gateway); the hub has no NB-IoT and no LoRa",
            )
        description = properties.text("ProductDescription", "")
        data_format = properties.text("Format", "json")
        if len(description) > MAX_DESCRIPTION_CHARS or data_format not in _FORMATS:
            raise CloudError(
                "InvalidParameterValue",
                f"a description has at most {MAX_DESCRIPTION_CHARS} characters, "
                f"a format is one of {', '.join(_FORMATS)}",
            )
        try:
            product = self._registry.add_product(name, auth, kind)
        except RegistryError as error:
            codes = {
                "conflict": "InvalidParameterValue.ProductAlreadyExist",
                "limit": "LimitExceeded.ProductExceedLimit",
            }
            raise CloudError(codes.get(error.code, "InvalidParameterValue"), str(error)) from None
        self._store.later(
            "INSERT INTO product_property VALUES (?, ?, ?)",
            (product.product_id, description, data_format),
        )
        return {
            "ProductId": product.product_id,
            "ProductName": name,
            "ProductProperties": self._properties(product),
        }

    async def _describe(self, parameters: Parameters) -> dict[str, Any]:
        return self._shown(named_product(self._registry, parameters))

    async def _describe_all(self, parameters: Parameters) -> dict[str, Any]:
        products = list(self._registry.products.values())
        first, end = page(parameters)
        shown = [self._shown(product) for product in products[first:end]]
        return {"TotalCount": len(products), "Products": shown}

    async def _delete(self, parameters: Parameters) -> dict[str, Any]:
        product = named_product(self._registry, parameters)
        if product.devices:
            raise CloudError(
                "UnauthorizedOperation.DevicesExistUnderProduct",
                f"product {product.product_id} has devices; delete them first",
            )
        self._registry.remove_product(product)
        return {}

    async def _set_registration(self, parameters: Parameters) -> dict[str, Any]:
        product = named_product(self._registry, parameters)
        kind = parameters.integer("RegisterType", most=len(_REGISTRATIONS) - 1)
        limit = parameters.integer("RegisterLimit", 0, most=MAX_DEVICES_PER_PRODUCT)
        self._registry.set_registration(product.product_id, _REGISTRATIONS[kind], limit)
        return self._registration(product)

    async def _create_topic(self, parameters: Parameters) -> dict[str, Any]:
        product = named_product(self._registry, parameters)
        name = self._topic_name(product, parameters.text("TopicName"))
        permission = _permission(parameters)
        try:
            self._registry.add_topic(product.product_id, name, permission.value)
        except RegistryError as error:
            raise _topic_refusal(error) from None
        return {}

    async def _update_topic(self, parameters: Parameters) -> dict[str, Any]:
        product = named_product(self._registry, parameters)
        name = self._topic_name(product, parameters.text("TopicName"))
        new_name = self._topic_name(product, parameters.text("NewTopicName", name))
        permission = _permission(parameters)
        try:
            self._registry.change_topic(product.product_id, name, new_name, permission.value)
        except RegistryError as error:
            raise _topic_refusal(error) from None
        return {}

    def _topic_name(self, product: Product, topic: str) -> str:
        """The name after PID/DN/, also where it is written with `PID/${deviceName}/` before it."""
        prefix = f"{product.product_id}/${{deviceName}}/"
        return topic.removeprefix(prefix)

    def _shown(self, product: Product) -> dict[str, Any]:
        return {
            "ProductId": product.product_id,
            "ProductName": product.name,
            "ProductMetadata": {"CreationDate": product.created_ms // 1000},
            "ProductProperties": self._properties(product),
        }

    def _properties(self, product: Product) -> dict[str, Any]:
        kept = self._store.query(
            "SELECT description, format FROM product_property WHERE product_id = ?",
            (product.product_id,),
        )
        description, data_format = kept[0] if kept else ("", "json")
        return {
            "ProductDescription": description,
            "EncryptionType": "1" if product.auth == "cert" else "2",
            "Region": "gz",
            "ProductType": 5 if product.kind == "gateway" else 0,
            "Format": data_format,
            "Platform": "0",
            "ModelId": "-1",
            **self._registration(product),
        }

    def _registration(self, product: Product) -> dict[str, Any]:
        return {
            "RegisterType": _REGISTRATIONS.index(product.registration),
            "RegisterLimit": product.registration_limit,
            "ProductSecret": product.secret,
        }


def _topic_refusal(error: RegistryError) -> CloudError:
    codes = {
        "not_found": "ResourceNotFound.TopicPolicyNotExist",
        "conflict": "InvalidParameterValue.TopicPolicyAlreadyExist",
        "limit": "LimitExceeded.TopicPolicyExceedLimit",
    }
    return CloudError(codes.get(error.code, "InvalidParameterValue"), str(error))


def _permission(parameters: Parameters) -> Permission:
    return _PRIVILEGES[parameters.integer("Privilege", least=1, most=3)]
