"""Which device is to run which version, and how far that is. Held in memory, written through."""

import hashlib
import math
from dataclasses import dataclass, replace

from tools.hub import events
from tools.hub.identity import Identity, parse_path
from tools.hub.ota.library import Firmware, Library
from tools.hub.ota.links import VALID_S, Links
from tools.hub.registry import RegistryError
from tools.hub.services.context import ServiceContext
from tools.hub.services.messages import Json, encode

MAX_ROLLOUT = 10_000

# States: before the device spoke, and then as the documents name them.
ROLLED_OUT = "rolled out"
OFFERED = "offered"
DONE = "done"
FAIL = "fail"
REPORTED = ("downloading", "burning", DONE, FAIL)
FINAL = (DONE, FAIL)


@dataclass(frozen=True, slots=True)
class Update:
    """One device's."""

    device: Identity
    version: str
    state: str
    percent: int = 0
    result_code: int = 0
    result_msg: str = ""
    updated_ms: int = 0
    plain_http: int = 0


class Updates:
    """`links` is set when the hub knows where it is reached."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self.library = Library(context)
        self.links: Links | None = None
        self._updates: dict[Identity, Update] = {}
        self._running: dict[Identity, str] = {}
        for path, *rest in context.store.query("SELECT * FROM firmware_update"):
            if (device := parse_path(path)) is not None:
                self._updates[device] = Update(device, *rest)
        for path, version, _ in context.store.query("SELECT * FROM running_version"):
            if (device := parse_path(path)) is not None:
                self._running[device] = version
        context.registry.on_removed.append(self._forget)

    # What the application does. Each raises RegistryError.

    def roll_out(
        self,
        product_id: str,
        version: str,
        devices: list[str] | None = None,
        share_percent: float = 100,
        plain_http: bool = False,
    ) -> list[Update]:
        """Want a version on devices of a product: those named, or a share of all. Whoever is
        online is offered it at once, the others when they report their version. The share is the
        same devices each time, and a larger one has the smaller one's among it. Addresses are of
        https, unless there is none or plain HTTP is asked for."""
        firmware = self.library.find(product_id, version)
        self._scheme(plain_http)
        product = self._context.registry.product(product_id)
        if devices is None:
            if not 0 < share_percent <= 100:
                raise RegistryError("invalid", "a share is over 0 and at most 100 percent")
            devices = _share(list(product.devices), version, share_percent)
        if not 0 < len(devices) <= MAX_ROLLOUT:
            raise RegistryError("invalid", f"1 to {MAX_ROLLOUT} devices")
        registry = self._context.registry
        wanted = [registry.device(product_id, name).identity for name in dict.fromkeys(devices)]
        made = []
        for device in wanted:
            self._keep(Update(device, version, ROLLED_OUT, plain_http=int(plain_http)))
            self._context.records.event(
                events.OTA, device.path, action="rolled out", version=version
            )
            if self._context.presence.is_online(device) and self._running.get(device) != version:
                self._offer(self._updates[device], firmware)
            made.append(self._updates[device])
        self._context.store.flush()
        return made

    def progress(self, product_id: str, version: str | None = None) -> list[Update]:
        """Of every device of a product that is, or was, to run something else."""
        self._context.registry.product(product_id)
        return [
            update
            for device, update in sorted(self._updates.items())
            if device.product_id == product_id and version in (None, update.version)
        ]

    def withdraw(self, device: Identity) -> None:
        """Want nothing of a device any more. One that downloads already goes on."""
        if device not in self._updates:
            raise RegistryError("not_found", f"nothing is rolled out to {device.path}")
        self._forget_update(device)
        self._context.records.event(events.OTA, device.path, action="withdrawn")
        self._context.store.flush()

    def running(self, device: Identity) -> str | None:
        """The version a device said it runs."""
        return self._running.get(device)

    # What devices say

    def runs(self, device: Identity, version: str) -> None:
        """A device reported its version: what else it should run is offered, again if need be."""
        self._running[device] = version
        self._context.store.later(
            "INSERT OR REPLACE INTO running_version VALUES (?, ?, ?)",
            (device.path, version, self._context.clock.now_ms()),
        )
        update = self._updates.get(device)
        if update is None:
            return
        if update.version == version:
            if update.state != DONE:
                self._keep(replace(update, state=DONE, percent=100, result_code=0, result_msg=""))
            return
        try:
            firmware = self.library.find(device.product_id, update.version)
        except RegistryError as error:
            self._context.record(device, _topic(device), "not offered", reason=str(error))
            return
        self._offer(update, firmware)

    def reported(self, device: Identity, version: str, told: Update) -> bool:
        """A device told how far it is. False if it is not to run that version."""
        update = self._updates.get(device)
        if update is None or update.version != version:
            return False
        self._keep(replace(told, plain_http=update.plain_http))
        return True

    def _offer(self, update: Update, firmware: Firmware) -> None:
        """Send update_firmware with a fresh address."""
        assert self.links is not None
        device = update.device
        scheme = self._scheme(bool(update.plain_http))
        valid_s, md5 = VALID_S, firmware.md5
        faults = self._context.faults
        if faults.armed:
            if faults.strikes("ota_expired", device.path):
                valid_s = 0
            if faults.strikes("ota_wrong_md5", device.path):
                md5 = hashlib.md5(md5.encode()).hexdigest()
        message: Json = {
            "file_size": firmware.size,
            "md5sum": md5,
            "type": "update_firmware",
            "url": self.links.make(scheme, device, firmware, valid_s),
            "version": firmware.version,
        }
        outcome = self._context.send(device, _topic(device), encode(message), 1)
        self._context.record(
            device, _topic(device), "offered", version=firmware.version, outcome=outcome.state
        )
        if update.state == ROLLED_OUT:
            self._keep(replace(update, state=OFFERED))

    def close(self) -> None:
        self.library.close()

    def _scheme(self, plain_http: bool) -> str:
        schemes = self.links.schemes() if self.links else []
        if plain_http:
            schemes = [scheme for scheme in schemes if scheme == "http"]
        if not schemes:
            option = "--http-port" if plain_http else "--https-port or --http-port"
            raise RegistryError("conflict", f"the hub serves no files so; give it {option}")
        return schemes[0]

    def _keep(self, update: Update) -> None:
        update = replace(update, updated_ms=self._context.clock.now_ms())
        self._updates[update.device] = update
        self._context.store.later(
            "INSERT OR REPLACE INTO firmware_update VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                update.device.path,
                update.version,
                update.state,
                update.percent,
                update.result_code,
                update.result_msg,
                update.updated_ms,
                update.plain_http,
            ),
        )

    def _forget_update(self, device: Identity) -> None:
        if self._updates.pop(device, None) is not None:
            self._context.store.later(
                "DELETE FROM firmware_update WHERE device = ?", (device.path,)
            )

    def _forget(self, device: Identity) -> None:
        self._forget_update(device)
        if self._running.pop(device, None) is not None:
            self._context.store.later(
                "DELETE FROM running_version WHERE device = ?", (device.path,)
            )


def _share(names: list[str], version: str, percent: float) -> list[str]:
    """The first of the names in an order that each version has of its own."""
    ordered = sorted(
        names, key=lambda name: hashlib.sha256(f"{version}\n{name}".encode()).digest()
    )
    return ordered[: math.ceil(len(ordered) * percent / 100)]


def _topic(device: Identity) -> str:
    return f"$ota/update/{device.path}"
