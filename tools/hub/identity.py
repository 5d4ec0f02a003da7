"""What names a device: product id and device name, and the rules both obey."""

import re
from typing import NamedTuple

PRODUCT_ID_CHARS = 10
MAX_DEVICE_NAME_CHARS = 48

_PRODUCT_ID = re.compile(r"[A-Z0-9]{10}")
# Neither a topic separator, a wildcard nor the `;` of the user name may occur in a device name.
_DEVICE_NAME = re.compile(r"[A-Za-z0-9_:-]{1,48}")


class Identity(NamedTuple):
    """One device. `path` is how topics and the API name it, `client_id` how MQTT does."""

    product_id: str
    device_name: str

    @property
    def path(self) -> str:
        return f"{self.product_id}/{self.device_name}"

    @property
    def client_id(self) -> str:
        return self.product_id + self.device_name


def is_product_id(text: str) -> bool:
    return _PRODUCT_ID.fullmatch(text) is not None


def is_device_name(text: str) -> bool:
    return _DEVICE_NAME.fullmatch(text) is not None


def parse_client_id(client_id: str) -> Identity | None:
    """Split PID+DN; None when it cannot be one."""
    identity = Identity(client_id[:PRODUCT_ID_CHARS], client_id[PRODUCT_ID_CHARS:])
    if is_product_id(identity.product_id) and is_device_name(identity.device_name):
        return identity
    return None


def parse_path(path: str) -> Identity | None:
    """Split PID/DN as the API writes it; None when it cannot be one."""
    product_id, separator, device_name = path.partition("/")
    if separator and is_product_id(product_id) and is_device_name(device_name):
        return Identity(product_id, device_name)
    return None
