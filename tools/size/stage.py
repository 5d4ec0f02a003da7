"""The hub that the measured board talks to, what it has for the board, and what the board has on
its flash."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from tools.boards.description import read_board
from tools.deploy.starters import starters
from tools.emulated.flash import LINK
from tools.hub.app import Hub
from tools.hub.config import LOOPBACK
from tools.hub.events import Watcher
from tools.ota.keys import make_keys
from tools.ota.pack import (
    application_files,
    base_files,
    board_field,
    compiled_firmware,
    pack_bundle,
)
from tools.ota.slot import slot_file
from tools.ota.trailer import Release
from tools.size.library_files import compiled
from tools.size.plan import FOLDER

# The largest packet that hub and library take, and the library's whole buffer.
PACKET_BYTES = 16 * 1024
PROGRAMS = "/size"
_SOURCES = (LINK, FOLDER / "board/peak.py", *sorted((FOLDER / "scenes").glob("*.py")))
# With the lengths of packet and topic, and the packet id.
_PUBLISH_HEAD_BYTES = 1 + 3 + 2 + 2
_NEW_VERSION = "2.0"


class Stage:
    """One device. The programs in `scenes/` publish events to have the hub do its part."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._product_id = hub.registry.add_product("board").product_id
        device = hub.registry.add_device(self._product_id, "pico")
        self._identity = identity = device.identity
        self._settings: dict[str, Any] = {
            "product_id": identity.product_id,
            "device_name": identity.device_name,
            "device_secret": device.secret,
            "transport": "tcp",
            "host": LOOPBACK,
            "port": hub.mqtt_port,
            "http": {"transport": "http"},
            "network": {"ssid": "a wire"},
        }
        hub.broker.services.shadows.update_desired(identity, {"brightness": 80})
        for name in ("view", "copy"):
            hub.registry.add_topic(self._product_id, name, "sub")
        self._actions: dict[bytes, Callable[[], object]] = {
            b"view": lambda: self._send("view"),
            b"copy": lambda: self._send("copy"),
            b"ready": self._roll_out,
        }

    async def act(self) -> None:
        """Does what the events of the device ask for, until it is cancelled."""
        watcher = Watcher()
        self._hub.records.watchers.add(watcher)
        while passed := await watcher.next():
            _, direction, _, _, payload, _ = passed
            if direction == "in" and (action := self._actions.get(payload)):
                action()

    def _send(self, name: str) -> None:
        topic = f"{self._identity.path}/{name}"
        payload = bytes(PACKET_BYTES - _PUBLISH_HEAD_BYTES - len(topic))
        self._hub.broker.send(self._identity, topic, payload, 1)

    def _roll_out(self) -> None:
        self._hub.broker.updates.roll_out(self._product_id, _NEW_VERSION)

    def flash_files(self) -> dict[str, bytes]:
        """What a board needs beside the library for all but updates."""
        authority = self._hub.authority
        own = authority.issue_device(self._identity.client_id, "ec")
        return {
            **self._common_files(),
            "/boot.py": starters()["/boot.py"],
            "/trust/root.der": authority.certificate_der,
            "/crt.der": own.certificate_der,
            "/key.der": own.key_der,
        }

    async def updated_flash_files(self, folder: Path) -> dict[str, bytes]:
        """All that is on a board with slots; `folder` is for the keys. The hub has the same
        firmware again as a new version."""
        board = read_board("pico_w")
        keys = make_keys(folder)
        firmware = compiled_firmware(board)
        release = Release(0, self._product_id, board_field(board), _NEW_VERSION, sequence=2)
        packed = pack_bundle(board, firmware, release, keys)

        async def content() -> AsyncIterator[bytes]:
            yield packed.content

        await self._hub.broker.updates.library.add(self._product_id, _NEW_VERSION, content())
        first = starters()
        del first["/main.py"]  # the scene takes its place
        return {
            **self._common_files(),
            **first,
            "/slots/a": slot_file(application_files(firmware, keys)),
            "/slots/base": slot_file(base_files(firmware)),
            "/slots/keys": keys.public_file(),
        }

    def _common_files(self) -> dict[str, bytes]:
        programs = {f"{PROGRAMS}/{source.stem}.mpy": compiled(source) for source in _SOURCES}
        settings = json.dumps(self._settings).encode()
        return {**programs, "/device.json": settings, "/state/made": b""}
