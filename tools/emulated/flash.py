"""What is on the flash of the emulated board: as `make provision` and `make deploy` would leave
it, and the link that takes the place of Wi-Fi."""

import json
from pathlib import Path
from typing import Any

from tools.boards.description import read_board
from tools.deploy.starters import starters
from tools.hub.config import LOOPBACK
from tools.ota.pack import application_files, base_files, compiled_firmware
from tools.ota.slot import slot_file
from tools.pico import flash_image

# boot.py left the slot as the only place modules come from.
_LINK_FIRST = b'import sys\n\nsys.path.append("/")\nimport link\n\nsys.path.pop()\n'
LINK = Path(__file__).with_name("device") / "link.py"


def configuration(product_id: str, device_name: str, secret: str, port: int) -> dict[str, Any]:
    """The device.json of a board whose UART 0 leads to the MQTT port of a hub."""
    return {
        "product_id": product_id,
        "device_name": device_name,
        "device_secret": secret,
        "host": LOOPBACK,
        "port": port,
        "transport": "tcp",
        "network": {"ssid": "uart0"},
    }


def make_flash(device: dict[str, Any]) -> bytes:
    """The whole flash, 2 MiB; `device` is its device.json. Raises tools.ota.errors.OtaError,
    tools.bytecode.CompileError."""
    compiled = compiled_firmware(read_board("pico_w"))
    first = starters()
    files = {
        **first,
        "/main.py": _LINK_FIRST + first["/main.py"],
        "/slots/a": slot_file(application_files(compiled, None)),
        "/slots/base": slot_file(base_files(compiled)),
        "/device.json": json.dumps(device).encode(),
        "/link.py": LINK.read_bytes(),
        "/state/.keep": b"",
    }
    return flash_image(files)
