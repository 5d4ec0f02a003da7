"""Who is measured, and how one measurement is taken: in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_DEVICE = Path(__file__).parent / "device"
_MICROPYTHON = Path(sys.executable).parent / "micropython"
_TIMEOUT_S = 180


class BenchError(Exception):
    """A measurement could not be taken."""


@dataclass(frozen=True)
class Contestant:
    """`count` and `delayed_count` are how many messages make a measurement of about a second, on
    loopback and through the delay."""

    name: str
    command: tuple[str, ...]
    count: int
    delayed_count: int

    def rate_per_s(self, host: str, port: int, count: int) -> float:
        """Acknowledged publishes per second. Raises BenchError."""
        warm_up = max(1, min(100, count // 10))
        done = subprocess.run(
            [*self.command, host, str(port), str(warm_up), str(count)],
            cwd=_ROOT,
            env={**os.environ, "MICROPYPATH": f"{_ROOT / 'firmware/lib'}:.frozen"},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
        if done.returncode:
            raise BenchError(f"{self.name}: {done.stdout}{done.stderr}")
        took_us: int = json.loads(done.stdout)["took_us"]
        return count / took_us * 1e6


def _device(script: str, *arguments: str) -> tuple[str, ...]:
    return (str(_MICROPYTHON), str(_DEVICE / script), *arguments)


SESSION = Contestant("iothub, asyncio, window 20", _device("publish_session.py"), 30_000, 2000)
BLOCKING = Contestant("iothub, blocking", _device("publish_blocking.py", "iothub"), 12_000, 30)
UMQTT = Contestant("umqtt.simple", _device("publish_blocking.py", "umqtt"), 30, 20)
UMQTT_NODELAY = Contestant(
    "umqtt.simple with TCP_NODELAY", _device("publish_blocking.py", "umqtt-nodelay"), 10_000, 30
)
PAHO = Contestant(
    "paho-mqtt, inflight 20", (sys.executable, "-m", "tools.bench.paho_client"), 15_000, 1200
)
# In this order; who is compared most closely comes next to whom.
CONTESTANTS = (PAHO, SESSION, UMQTT_NODELAY, UMQTT, BLOCKING)
