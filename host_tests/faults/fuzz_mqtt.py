"""Mutation fuzz of the MQTT engine.

    PYTHONPATH=.:firmware/lib python host_tests/faults/fuzz_mqtt.py --seed 1 --cases 1000

A case is one or two links to a server that says almost the right thing (packets mutated, joined
and cut), then one to an honest server. On the hostile links only IoTHubErrors may come out, and
every buffer stays in its bounds; on the honest one everything works, and no publish was lost or
acknowledged twice. CPython and MicroPython come to the same digest. `--subject NAME` runs an
engine of fuzz_broken.py, whose fault must be found: status 1.
"""

import sys

from iothub.errors import IoTHubError
from iothub.mqtt import engine as mqtt
from iothub.mqtt.engine import Engine
from iothub.store.queue import RamQueue

from host_tests.faults import fuzz_run, fuzz_server
from host_tests.faults.fuzz_broken import ENGINES
from host_tests.faults.fuzz_client import Client
from host_tests.faults.fuzz_dice import Dice
from host_tests.faults.fuzz_run import FuzzFailure
from host_tests.unit.iothub import peer

RECEIVE_BUFFERS = (1024, 16384 + 5)
WINDOW = 20
WINDOW_BYTES = 8192
ACKS_BYTES = 80
MAX_ROUNDS = 100
REPORTS = {
    mqtt.ONLINE_AGAIN: "ONLINE_AGAIN",
    mqtt.SESSION_LOST: "SESSION_LOST",
    mqtt.OVERSIZE: "OVERSIZE",
    mqtt.STRAY_ACK: "STRAY_ACK",
    mqtt.FILTER_REFUSED: "FILTER_REFUSED",
    mqtt.FILTER_GRANTED: "FILTER_GRANTED",
}


def _check_bounds(engine):
    if not 0 < len(engine.space()) <= RECEIVE_BUFFERS[1]:
        raise FuzzFailure(f"space() of {len(engine.space())} bytes")
    if len(engine._rx) not in RECEIVE_BUFFERS:
        raise FuzzFailure(f"a receive buffer of {len(engine._rx)} bytes")
    if len(engine._acks) != ACKS_BYTES:
        raise FuzzFailure(f"{len(engine._acks)} bytes of acknowledgements")
    if len(engine.in_flight) > WINDOW:
        raise FuzzFailure(f"{len(engine.in_flight)} publishes in flight")
    held = sum([len(record.packet) for record in engine.in_flight])
    if held != engine._window_bytes or (held > WINDOW_BYTES and len(engine.in_flight) > 1):
        raise FuzzFailure(f"{held} bytes in flight, counted {engine._window_bytes}")


def _feed(engine, dice, data):
    """As a driver reads: in pieces of any size, with time passing between."""
    small = dice.hits(30)
    at = 0
    while at < len(data) and engine.state != mqtt.CLOSED:
        space = engine.space()
        size = min(len(data) - at, len(space))
        if small and len(data) < 2000:
            size = 1 + dice.below(min(size, 30))
        elif dice.hits(30):
            size = 1 + dice.below(size)
        space[0:size] = data[at : at + size]
        at += size
        engine.received(size)
        _check_bounds(engine)
        if dice.hits(5):
            engine.advance(dice.pick((1, 1000, 9000)))


def _hostile_link(engine, client, dice):
    """Returns how it ended: the error, or None."""
    engine.closed()
    engine.connect(b"PRODUCTID1dev01")
    try:
        for _ in range(dice.below(3)):
            client.act()
        _feed(engine, dice, fuzz_server.login(dice))
        for _ in range(dice.below(4)):
            client.act()
        client.fresh()
        _feed(engine, dice, fuzz_server.stream(dice, client.sent))
    except IoTHubError as e:
        return e
    finally:
        client.fresh()
        client.sent = []
    return None


def _honest_link(engine, client, dice):
    """Raises FuzzFailure unless everything works again."""
    client.acts = False
    engine.closed()
    engine.connect(b"PRODUCTID1dev01")
    client.fresh()
    peer.feed(engine, peer.connack())
    probe = engine.subscribe(b"probe/+", 1, None)
    client.publish(b"probe", b"out")
    engine.ping()
    for _ in range(MAX_ROUNDS):
        answers = fuzz_server.honest_answers(client.fresh())
        if not answers:
            break
        peer.feed(engine, answers)
    engine.advance(1000)
    if engine.state != mqtt.ONLINE or probe.granted != 1:
        raise FuzzFailure("not online, or a filter was not granted")
    if engine.requests_waiting or engine.in_flight or len(engine.queue):
        raise FuzzFailure("something still waits after all was answered")
    if sorted(client.acknowledged_tokens) != list(range(client.tokens)):
        raise FuzzFailure("a publish was lost or acknowledged twice")
    expected = [(peer.PUBACK, b"\x43\x21")]
    if dice.hits(3):
        _feed(engine, dice, peer.message(b"probe/large", b"x" * 17000, 0x1234))
        expected.insert(0, (peer.PUBACK, b"\x12\x34"))
    peer.feed(engine, peer.message(b"probe/in", b"payload", 0x4321))
    if client.messages[-1] != (b"probe/+", b"probe/in", b"payload"):
        raise FuzzFailure("a message was not delivered")
    if [sent for sent in client.fresh() if sent[0] == peer.PUBACK] != expected:
        raise FuzzFailure("a message was not acknowledged once")


def make_run_case(engine_class=Engine):
    """The run_case of fuzz_run.run() for a class of engines."""

    def run_case(seed, case, tally):
        dice = Dice(seed, case)
        client = Client(dice)
        engine = engine_class(client, RamQueue(), dice.pick((0, 60)), dice.hits(50))
        client.engine = engine
        for _ in range(2 if dice.hits(20) else 1):
            error = _hostile_link(engine, client, dice)
            outcome = "unharmed"
            if error is not None:
                outcome = f"{type(error).__name__}: {error.reason}"
            tally.count(outcome)
            tally.mix(outcome)
        for what, _ in client.reports:
            tally.count("told " + REPORTS[what])
        tally.mix(f"{len(client.acknowledged_tokens)} {len(client.reports)}")
        for _, topic, payload in client.messages:
            tally.mix(f"{topic!r} {len(payload)}")
        _honest_link(engine, client, dice)

    return run_case


if __name__ == "__main__":
    sys.exit(fuzz_run.main("fuzz_mqtt", ENGINES, make_run_case))
