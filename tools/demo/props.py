"""What each program of firmware/examples needs of the hub before it can run: a product, a device,
what stands beside it. Used by the chapters and by `make example`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.demo.cloud import Cloud

EXAMPLES = Path(__file__).resolve().parents[2] / "firmware/examples"


@dataclass(frozen=True)
class Props:
    """`device` is "PID/DN"; `fields` are those of its device.json that say who it is. `tries` are
    commands for a running hub that show what the example does."""

    device: str
    fields: dict[str, Any]
    tries: list[str] = field(default_factory=list)
    # A gateway's sub-device.
    beside: str = ""

    @property
    def product_id(self) -> str:
        return self.device.split("/")[0]


async def device_of(cloud: Cloud, product: str, name: str, kind: str = "normal") -> Props:
    """A new device in a new product."""
    made = await cloud.post("/products", {"name": product, "kind": kind})
    product_id = made["product_id"]
    device = await cloud.post(f"/products/{product_id}/devices", {"name": name})
    return Props(
        f"{product_id}/{name}",
        {
            "product_id": product_id,
            "device_name": name,
            "device_secret": device["device_secret"],
        },
    )


async def _plain(cloud: Cloud, product: str) -> Props:
    return await device_of(cloud, product, "dev01")


async def _gateway(cloud: Cloud, product: str) -> Props:
    meter = await device_of(cloud, product + " meters", "meter01")
    gateway = await device_of(cloud, product, "gateway01", "gateway")
    return Props(gateway.device, gateway.fields | {"app": meter.fields}, beside=meter.device)


async def _register(cloud: Cloud, product: str) -> Props:
    made = await cloud.post("/products", {"name": product})
    product_id = made["product_id"]
    # The names need not be known before.
    switch = {"registration": "auto", "limit": 1}
    await cloud.post(f"/products/{product_id}/registration", switch)
    return Props(
        f"{product_id}/dev01",
        {
            "product_id": product_id,
            "device_name": "dev01",
            "product_secret": made["product_secret"],
        },
    )


async def _logs(cloud: Cloud, product: str) -> Props:
    props = await _plain(cloud, product)
    path = device_path(props.device)
    await cloud.post(f"{path}/log_level", {"level": _LOG_LEVEL_DEBUG})
    return props


_LOG_LEVEL_DEBUG = 4
_SPECIAL: dict[str, Callable[[Cloud, str], Awaitable[Props]]] = {
    "gateway": _gateway,
    "logs": _logs,
    "register": _register,
}
# {device} is PID/DN, {words} the same as two words, {beside} the sub-device, {folder} where the
# example runs.
_TRIES = {
    "broadcast": ["broadcast {product} hello"],
    "coap_publish": ["log search --device {device}"],
    "deep_sleep": ["log search --device {device}"],
    "gateway": ["gateway list {words}", "publish {beside}/control on"],
    "http_publish": ["log search --device {device}"],
    "logs": ["log search --device {device} --kind device_log"],
    "register": ["product registration {product}"],
    "remote_config": [
        "config set {product} '{{\"interval_s\": 60}}'",
        "config push {product}",
    ],
    "rrpc": ['rrpc {words} \'{{"method": "blink"}}\''],
    # Made beside its device.json (tools/example.py).
    "update": [
        "ota upload {product} 1.1 {folder}/1.1.ota",
        "ota roll-out {product} 1.1",
        "ota progress {product}",
    ],
    "shadow": ["shadow update {words} '{{\"brightness\": 70}}'", "shadow show {words}"],
}


async def props_of(cloud: Cloud, example: str, product: str, folder: Path = Path()) -> Props:
    """Makes on the hub what an example needs, in a new product of this name. Raises
    ChapterFailed where the hub refuses."""
    props = await _SPECIAL.get(example, _plain)(cloud, product)
    tries = [
        text.format(
            device=props.device,
            words=props.device.replace("/", " "),
            product=props.product_id,
            beside=props.beside,
            folder=folder,
        )
        for text in _TRIES.get(example, [])
    ]
    return Props(props.device, props.fields, tries, props.beside)


def device_path(device: str) -> str:
    """Where the hub's API has a device "PID/DN"."""
    product_id, name = device.split("/")
    return f"/products/{product_id}/devices/{name}"


def names() -> list[str]:
    """Of all examples."""
    return sorted(path.stem for path in EXAMPLES.glob("*.py"))
