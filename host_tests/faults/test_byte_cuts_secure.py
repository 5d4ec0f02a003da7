"""The sweep of test_byte_cuts.py over TLS, TLS-PSK, WebSocket and WebSocket over TLS: the stream
is cut, split and gathered where nothing of MQTT can be seen on it, in the handshakes too.

What the wire hides the server's records and the device tell: a message that either had taken
before comes again with DUP and with the packet id it had. `make test` takes a sample of the bytes,
the same each time; `make sweep` takes all, which takes hours.
"""

import random
from collections.abc import Callable, Iterable, Sequence

import pytest

from host_tests.conftest import requires
from host_tests.e2e.device_program import DeviceProgram, Event
from host_tests.e2e.scenario import run
from host_tests.faults.exchange import Exchanges
from host_tests.faults.secure_clouds import CLOUDS, WAYS, Received, RecordingCloud
from tools.faults import Cut, Faults, Flow, Link

pytestmark = requires("mosquitto")

SAMPLE = 6
SWEEP_DEADLINE_S = 6 * 3600.0
# mosquitto passes on what comes by WebSocket ten times a second only: every byte would take days.
SWEEP_STEPS = {("mosquitto", "ws"): 8, ("mosquitto", "wss"): 8}

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
    step = SWEEP_STEPS.get((cloud_name, way), 1)

    async def scenario() -> None:
        async with (
            CLOUDS[cloud_name](tmp_path, way) as cloud,
            DeviceProgram("exchange_program.py") as device,
        ):
            exchanges = SecureExchanges(device, cloud)
            for direction in ("up", "down"):
                whole = await exchanges.run(Faults())
                size_bytes = getattr(whole, direction).passed_bytes
                assert size_bytes > 200, "that was no whole session"
                for kind in KINDS:
                    seed = f"{cloud_name} {way} {direction} {kind}"
                    every = range(0 if kind in CUTTING else 1, size_bytes, step)
                    offsets = every if sweep_full else sample(every, SAMPLE, seed)
                    await sweep(exchanges, direction, kind, offsets)
            print(f"{cloud_name} {way}: {exchanges.again} messages came again")
            assert exchanges.again or not sweep_full, "no cut hit what was on its way"

    run(scenario, SWEEP_DEADLINE_S)


async def sweep(exchanges: Exchanges, direction: str, kind: str, offsets: Sequence[int]) -> None:
    struck = 0
    for offset in offsets:
        try:
            link = await exchanges.run(Faults(**{direction: KINDS[kind](offset)}))
        except AssertionError as error:
            raise AssertionError(f"{kind} {direction} at byte {offset}") from error
        struck += getattr(link, direction).passed_bytes == offset
    # Encrypted sessions differ in length, as records do with what they gather: the last cuts may
    # find nothing to cut.
    if kind in CUTTING:
        assert struck >= len(offsets) / 2, f"{kind} {direction}: only {struck} cuts"


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
