"""The stream of a whole session, cut at every byte, and split and gathered at every byte: nothing
is lost, nothing comes twice without DUP, nothing hangs, and every error is one of the library's.

`make test` takes a sample of the bytes, the same each time; `make sweep` takes all.
"""

import random
from collections.abc import Callable

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram
from host_tests.e2e.scenario import run
from host_tests.faults.clouds import CLOUDS
from host_tests.faults.exchange import Exchanges
from tools.faults import Cut, Faults, Flow

pytestmark = requires("mosquitto")

SAMPLE = 24
SILENT_SAMPLE = 12  # these take the better part of a second each
SWEEP_DEADLINE_S = 1200.0

KINDS: dict[str, Callable[[int], Flow]] = {
    "reset": lambda offset: Flow(cut_after_bytes=offset, cut=Cut.RST),
    "closed": lambda offset: Flow(cut_after_bytes=offset, cut=Cut.FIN),
    "silent": lambda offset: Flow(cut_after_bytes=offset, cut=Cut.STALL),
    "split": lambda offset: Flow(split_at=offset, gap_ms=3, gather_bytes=4096, gather_ms=2),
    "gathered": lambda offset: Flow(gather_bytes=offset, gather_ms=5),
}
# A silent link is only found by waiting; waiting as long as a device would takes days.
SHORT_WAITS = ("CONNACK_MS=300", "ACKNOWLEDGE_MS=300", "PINGRESP_MS=300", "TICK_MS=50")


@pytest.mark.parametrize("cloud_name", CLOUDS)
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_session_survives_at_every_byte(tmp_path, cloud_name, direction, kind, sweep_full):
    cutting = KINDS[kind](0).cut_after_bytes is not None

    async def scenario() -> None:
        waits, keepalive_s = (SHORT_WAITS, 1) if kind == "silent" else ((), 60)
        async with (
            CLOUDS[cloud_name](tmp_path) as cloud,
            DeviceProgram("exchange_program.py", *waits) as device,
        ):
            exchanges = Exchanges(device, cloud, keepalive_s)
            whole = await exchanges.run(Faults())
            size_bytes = getattr(whole, direction).passed_bytes
            assert size_bytes > 100, "that was no whole session"
            # A cut leaves out the last byte at least; a piece has one at least.
            every = range(size_bytes) if cutting else range(1, size_bytes + 1)
            count = SILENT_SAMPLE if kind == "silent" else SAMPLE
            some = sample(every, count, f"{cloud_name} {direction} {kind}")
            for offset in every if sweep_full else some:
                try:
                    link = await exchanges.run(Faults(**{direction: KINDS[kind](offset)}))
                    passed_bytes = getattr(link, direction).passed_bytes
                    assert passed_bytes == (offset if cutting else size_bytes)
                except AssertionError as error:
                    raise AssertionError(f"{kind} {direction} at byte {offset}") from error

    run(scenario, SWEEP_DEADLINE_S)


@pytest.mark.parametrize("cloud_name", CLOUDS)
def test_a_session_survives_byte_by_byte(tmp_path, cloud_name):
    async def scenario() -> None:
        async with (
            CLOUDS[cloud_name](tmp_path) as cloud,
            DeviceProgram("exchange_program.py") as device,
        ):
            single = Flow(piece_bytes=1, gap_ms=0.3)
            exchanges = Exchanges(device, cloud)
            whole = await exchanges.run(Faults())
            link = await exchanges.run(Faults(single, single))
            assert link.up.passed_bytes == whole.up.passed_bytes
            assert link.down.passed_bytes == whole.down.passed_bytes

    run(scenario)


def sample(offsets: range, count: int, seed: str) -> list[int]:
    """The ends, and some between, the same for the same seed."""
    chosen = random.Random(seed).sample(offsets[2:-2], count - 4)
    return sorted([*offsets[:2], *offsets[-2:], *chosen])
