"""The sweep of test_byte_cuts.py over TLS, TLS-PSK, WebSocket and WebSocket over TLS: the stream
is cut, split and gathered where nothing of MQTT can be seen on it, in the handshakes too.

What the wire hides the server's records and the device tell: a message that either had taken
before comes again with DUP and with the packet id it had. `make test` takes a sample of the bytes,
the same each time; `make sweep` takes all.
"""

import asyncio
import contextlib
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram, Event
from host_tests.e2e.scenario import run
from host_tests.faults.exchange import Exchanges
from host_tests.faults.secure_clouds import CLOUDS, WAYS, Received, RecordingCloud
from tools.faults import Cut, Faults, Flow, Link

pytestmark = requires("mosquitto")

SAMPLE = 6
# So many at once: an exchange is mostly waiting, a tenth of a second each time on mosquitto's
# WebSocket.
DEVICES = 12
SIGNATURES_BYTES = 6  # by which sessions of the same records may differ
MAX_AGAIN = 7  # for a fault that came after the end
SWEEP_DEADLINE_S = 3600.0

KINDS: dict[str, Callable[[int], Flow]] = {
    "reset": lambda offset: Flow(cut_after_bytes=offset, cut=Cut.RST),
    "closed": lambda offset: Flow(cut_after_bytes=offset, cut=Cut.FIN),
    "split": lambda offset: Flow(split_at=offset, gap_ms=3, gather_bytes=4096, gather_ms=2),
    "gathered": lambda offset: Flow(gather_bytes=offset, gather_ms=5),
}
CUTTING = ("reset", "closed")


class SecureExchanges(Exchanges):
    """`again` counts the messages that came again, both ways."""

    again = 0

    def __init__(self, device: DeviceProgram, cloud: RecordingCloud) -> None:
        super().__init__(device, cloud)
        self._recording = cloud

    async def _judge_packets(self, result: Event, _links: list[Link], sent: list[bytes]) -> None:
        taken = [Received(payload.encode(), *rest) for payload, *rest in result["packets"]]
        for packets in (await self._recording.received(), taken):
            self.again += judge_packets(packets, sent)


def judge_packets(packets: Iterable[Received], sent: list[bytes]) -> int:
    """How many came again."""
    packet_ids: dict[bytes, int] = {}
    again = 0
    for packet in packets:
        assert packet.payload in sent, packet
        if packet.payload in packet_ids:
            again += 1
            assert packet.dup, f"sent again without DUP: {packet}"
            assert packet.packet_id == packet_ids[packet.payload], packet
        packet_ids[packet.payload] = packet.packet_id
    return again


@pytest.mark.parametrize("cloud_name", CLOUDS)
@pytest.mark.parametrize("way", WAYS)
def test_a_session_survives_at_every_byte(tmp_path, cloud_name, way, sweep_full):
    async def scenario() -> None:
        async with contextlib.AsyncExitStack() as stack:
            clouds = await stack.enter_async_context(CLOUDS[cloud_name](tmp_path, way, DEVICES))
            lanes = []
            for cloud in clouds:
                device = await stack.enter_async_context(DeviceProgram("exchange_program.py"))
                lanes.append(SecureExchanges(device, cloud))
            whole = [
                link
                for _ in range(2)
                for link in await asyncio.gather(*(lane.run(Faults()) for lane in lanes))
            ]
            strikes = []
            for direction in ("up", "down"):
                size_bytes = usual_bytes(getattr(link, direction).passed_bytes for link in whole)
                assert size_bytes > 200, "that was no whole session"
                for kind in KINDS:
                    every = range(0 if kind in CUTTING else 1, size_bytes)
                    seed = f"{cloud_name} {way} {direction} {kind}"
                    offsets = every if sweep_full else sample(every, SAMPLE, seed)
                    strikes += [Strike(direction, kind, offset) for offset in offsets]
            struck = await sweep(lanes, strikes)
            again = sum(lane.again for lane in lanes)
            print(
                f"{cloud_name} {way}: {struck} of {len(strikes)} faults struck, "
                f"{again} messages came again"
            )
            assert again or not sweep_full, "no cut hit what was on its way"

    run(scenario, SWEEP_DEADLINE_S)


def usual_bytes(sizes: Iterable[int]) -> int:
    """The longest of the usual ones: signatures differ by a byte or two, and a few sessions are
    longer by whole records, in which less was gathered."""
    ordered = sorted(sizes)
    return max(size for size in ordered if size <= ordered[len(ordered) // 2] + SIGNATURES_BYTES)


class Strike(NamedTuple):
    direction: str
    kind: str
    offset: int
    tried: int = 0


async def sweep(lanes: list[SecureExchanges], strikes: list[Strike]) -> int:
    """How many of the faults struck. Every lane takes the next one as soon as it is free."""
    waiting = deque(strikes)
    missed = Counter[str]()

    async def work(lane: SecureExchanges) -> None:
        while waiting:
            strike = waiting.popleft()
            faults = Faults(**{strike.direction: KINDS[strike.kind](strike.offset)})
            try:
                link = await lane.run(faults)
            except AssertionError as error:
                raise AssertionError(f"{strike} failed") from error
            if has_struck(link, strike):
                continue
            if strike.tried < MAX_AGAIN:
                waiting.append(strike._replace(tried=strike.tried + 1))
            else:
                missed[strike.kind] += 1

    async with asyncio.TaskGroup() as working:
        for lane in lanes:
            working.create_task(work(lane))
    for kind, count in missed.items():
        tried = sum(strike.kind == kind for strike in strikes)
        assert count <= 2 + tried // 100, f"{kind}: {count} of {tried} never struck"
    return len(strikes) - missed.total()


def has_struck(link: Link, strike: Strike) -> bool:
    """Not where this session ended before."""
    passed_bytes: int = getattr(link, strike.direction).passed_bytes
    if strike.kind in CUTTING:
        return passed_bytes == strike.offset
    return strike.kind == "gathered" or passed_bytes > strike.offset


def test_what_comes_again_otherwise_is_found():
    first = Received(b"1", 7, False)
    assert judge_packets([first, Received(b"2", 8, True), Received(b"1", 7, True)], [b"1", b"2"])
    for again in (Received(b"1", 7, False), Received(b"1", 8, True), Received(b"3", 9, False)):
        with pytest.raises(AssertionError):
            judge_packets([first, again], [b"1"])


def sample(offsets: range, count: int, seed: str) -> list[int]:
    """The ends, and some between, the same for the same seed."""
    chosen = random.Random(seed).sample(offsets[1:-1], count - 2)
    return sorted([offsets[0], offsets[-1], *chosen])
