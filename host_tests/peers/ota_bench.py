"""A device that is updated, its flash, and the cloud's side of it."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from host_tests.e2e.application import Application, Message
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import until
from host_tests.peers.tls_servers import DEVICE_NAME, PRODUCT_ID, Place
from host_tests.unit.iothub.signed_images import PUBLIC, trailer_bytes

REPORT = f"$ota/report/{PRODUCT_ID}/{DEVICE_NAME}"
UPDATE = f"$ota/update/{PRODUCT_ID}/{DEVICE_NAME}"
TRAILER_BYTES = 512
# Waits of the device's that would make a test slow.
WAITS = ("BACKOFF_FIRST_MS=20", "BACKOFF_LAST_MS=50")


@dataclass(frozen=True)
class Firmware:
    """A file as the packing tool makes it: image and signed trailer."""

    version: str
    content: bytes

    @classmethod
    def make(
        cls, image_bytes: int, version: str = "0.2", seed: int = 1, product: str = PRODUCT_ID
    ) -> "Firmware":
        image = b"IHB" + Random(seed).randbytes(image_bytes - 3)
        return cls(version, image + trailer_bytes(image, product=product, version=version))

    @property
    def image(self) -> bytes:
        return self.content[:-TRAILER_BYTES]

    def message(self, url: str, **other: Any) -> dict[str, Any]:
        return {
            "type": "update_firmware",
            "version": self.version,
            "url": url,
            "md5sum": hashlib.md5(self.content).hexdigest(),
            "file_size": len(self.content),
            **other,
        }


class Cloud(Application):
    """Hears what the device reports. `offer` is the update_firmware that a reported version is
    answered with, as long as another one runs."""

    def __init__(self, port: int) -> None:
        super().__init__(port, REPORT, "$sys/operation/+/+")
        self.on_message = self._hear
        self.offer: dict[str, Any] | None = None
        self.versions: list[str] = []
        self.progress: list[dict[str, Any]] = []

    def _hear(self, message: Message) -> None:
        if message.topic != REPORT:
            return
        told = json.loads(message.payload)
        if told["type"] == "report_version":
            version = told["report"]["version"]
            self.versions.append(version)
            answer = {"result_code": 0, "result_msg": "success", "version": version}
            self.say({"type": "report_version_rsp", **answer})
            if self.offer is not None and self.offer["version"] != version:
                self.say(self.offer)
        else:
            assert told["type"] == "report_progress"
            self.progress.append(
                {**told["report"]["progress"], "version": told["report"]["version"]}
            )

    def say(self, message: dict[str, Any]) -> None:
        self.send(UPDATE, json.dumps(message))

    async def told(self, state: str, timeout_s: float = 20.0) -> dict[str, Any]:
        """The report of that state, once it is there."""
        await until(lambda: any(p["state"] == state for p in self.progress), timeout_s)
        return next(p for p in self.progress if p["state"] == state)

    @property
    def states(self) -> list[str]:
        """The states that were told, each once in a row."""
        states = [p["state"] for p in self.progress]
        return [s for i, s in enumerate(states) if not i or s != states[i - 1]]


@dataclass
class Device:
    """Its configuration and its flash; each start() is a boot."""

    place: Place
    port: int
    http: dict[str, Any] = field(default_factory=lambda: {"transport": "http"})
    app: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=lambda: {"transport": "tcp"})

    @property
    def flash(self) -> Path:
        folder = self.place.folder / "flash"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def downloaded(self) -> bytes:
        return (self.flash / "download").read_bytes()

    def start(self, version: str = "0.1", *waits: str) -> DeviceProgram:
        app = {"keys": [PUBLIC.hex()], **self.app}
        config = self.place.config(self.port, http=self.http, app=app, **self.fields)
        return DeviceProgram("ota_program.py", config, self.flash, version, *WAITS, *waits)


def bytes_read(device: DeviceProgram) -> int:
    """What a boot has taken of bodies off its sockets."""
    events = device.of("read")
    return int(events[-1]["total"]) if events else 0
