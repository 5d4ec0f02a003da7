"""How fast an update is downloaded, as the ratio to a bare loop that reads, hashes and writes."""

import hashlib
import json
import os
import random
import statistics
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.bench.contestants import BenchError
from tools.bench.file_server import file_server
from tools.bench.mosquitto import Mosquitto

FILE_BYTES = 8 << 20
_ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = Path(__file__).parent / "device/download.py"
_MICROPYTHON = Path(sys.executable).parent / "micropython"
_TIMEOUT_S = 300
_SECRET = "lDZ6Uqt+I9E0wW7rvDUs7Q=="  # of the documents' own example
# In RAM where there is such a place: a disk would be measured otherwise.
_FAST_FOLDER = "/dev/shm"


@dataclass(frozen=True)
class Download:
    """Bytes per second, a pair a round."""

    bare: Sequence[float]
    ours: Sequence[float]

    @property
    def ratio(self) -> float:
        return statistics.median(
            ours / bare for ours, bare in zip(self.ours, self.bare, strict=True)
        )


def measure(rounds: int, scale: float) -> Download:
    """In turns in one process, beside an MQTT session that publishes every 100 ms. Raises
    BenchError, MosquittoError, FileServerError."""
    size = max(100_000, int(FILE_BYTES * scale))
    fast = _FAST_FOLDER if os.path.isdir(_FAST_FOLDER) else None
    with TemporaryDirectory(prefix="bench-", dir=fast) as name:
        folder = Path(name)
        (folder / "update.bin").write_bytes(_update(size))
        with Mosquitto(folder) as broker, file_server(folder) as url:
            config = {
                "product_id": "PRODUCTID1",
                "device_name": "dev01",
                "device_secret": _SECRET,
                "transport": "tcp",
                "host": broker.host,
                "port": broker.port,
                "http": {"transport": "http"},
            }
            (folder / "device.json").write_text(json.dumps(config))
            done = subprocess.run(
                [_MICROPYTHON, _PROGRAM, "device.json", url + "/update.bin", str(rounds)],
                cwd=folder,
                env={**os.environ, "MICROPYPATH": f"{_ROOT / 'firmware/lib'}:.frozen"},
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
            )
    if done.returncode:
        raise BenchError(f"download: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    took = [json.loads(line) for line in done.stdout.splitlines()]
    return Download(
        [size / each["bare_us"] * 1e6 for each in took],
        [size / each["ours_us"] * 1e6 for each in took],
    )


def _update(size: int) -> bytes:
    """An image with the trailer that belongs to it (firmware/lib/iothub/update/image.py), but not
    signed: nobody asks here."""
    image = random.Random(1).randbytes(size)
    digest = hashlib.sha256(image).digest()
    fields = struct.pack(
        ">4sBBHIII8s32s12s20s32s", b"IHU\x01", 1, 0, 0, size, 0, 1, bytes(8), digest,
        b"PRODUCTID1", b"bench", b"1",
    )  # fmt: skip
    return image + fields + bytes(512 - len(fields))
