"""The most heap that the work of a device takes: measured on the emulated board, with a hub at the
other end of its UARTs."""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.hub.app import Hub
from tools.hub.config import LOOPBACK, HubConfig
from tools.pico import EmulatedPico, flash_image
from tools.size.stage import PACKET_BYTES, PROGRAMS, Stage

SCENE_TIMEOUT_S = 240.0

LIMITS_BYTES = {
    "16 KiB received, as a view": PACKET_BYTES + 1024,
    "TLS handshake, EC, mutual": 30 * 1024,
    "update: download, verify, write, install": 24 * 1024,
}


@dataclass(frozen=True)
class PeakCost:
    """Bytes of heap above what was in use before: at the most, and afterwards."""

    name: str
    peak_bytes: int
    kept_bytes: int
    limit_bytes: int | None


def measure_peaks(
    files: Mapping[str, bytes], limits_bytes: Mapping[str, int] = LIMITS_BYTES
) -> list[PeakCost]:
    """`files` is the library, by path on the board. Raises tools.pico.BoardError when it raised
    there, tools.pico.EmulatorError when the work does not end, and ValueError for a limit of what
    is not measured."""
    with TemporaryDirectory(prefix="size-") as folder:
        found = asyncio.run(_measure(files, Path(folder)))
    if unknown := limits_bytes.keys() - {name for name, _, _ in found}:
        raise ValueError(f"limits for peaks that are not measured: {sorted(unknown)}")
    return [PeakCost(*row, limit_bytes=limits_bytes.get(row[0])) for row in found]


Row = tuple[str, int, int]


async def _measure(files: Mapping[str, bytes], folder: Path) -> list[Row]:
    (folder / "hub").mkdir()
    config = HubConfig(
        mqtt_port=0,
        tls_port=0,
        http_port=0,
        api_port=0,
        data=folder / "hub",
        # The board takes many times as long as a real one.
        opening_timeout_s=SCENE_TIMEOUT_S,
        connect_timeout_s=SCENE_TIMEOUT_S,
    )
    async with Hub(config) as hub:
        stage = Stage(hub)
        acting = asyncio.create_task(stage.act())
        try:
            tcp, tls, http = (hub.address.ports[name] for name in ("tcp", "tls", "http"))
            now = time.gmtime()
            moment = (*now[:3], now.tm_wday, *now[3:6], 0)
            flash = folder / "flash.bin"

            flash.write_bytes(flash_image({**files, **stage.flash_files()}))
            with EmulatedPico(flash=flash, uart0=(LOOPBACK, tcp), uart1=(LOOPBACK, tls)) as board:
                found = await _play(board, "session", tcp)
                board.soft_reset()
                found += await _play(board, "handshake", moment)

            flash.write_bytes(flash_image(await stage.updated_flash_files(folder / "keys")))
            with EmulatedPico(flash=flash, uart0=(LOOPBACK, tcp), uart1=(LOOPBACK, http)) as board:
                found += await _play(board, "update", tcp, http)
        finally:
            acting.cancel()
            with suppress(asyncio.CancelledError):
                await acting
    return found


async def _play(board: EmulatedPico, scene: str, *arguments: object) -> list[Row]:
    """The hub goes on meanwhile."""
    call = ", ".join(map(repr, (scene, *arguments)))
    code = f"import sys\nsys.path.append({PROGRAMS!r})\nimport peak\npeak.run({call})"
    printed = await asyncio.to_thread(board.exec, code, SCENE_TIMEOUT_S)
    return [tuple(row) for row in json.loads(printed.splitlines()[-1])]
