"""The hostile server of the MQTT fuzz: packets a sane server might send, mutated."""

from host_tests.faults.fuzz_dice import mutate
from host_tests.unit.iothub import peer

TOPICS = (b"a/b", b"a/x", b"c", b"c/1/2", b"d", b"e/e", b"$sys/x", b"other", b"\xe6\xb8\xa9")
# Payloads around the steps of the length field and, seldom, of the receive buffer and its cap.
SIZES = (0, 1, 2, 10, 60, 119, 120, 125, 200)
LARGE_SIZES = (900, 1010, 1015, 1020, 1025, 3000, 16370, 16378, 16384, 17000, 40000)
HUGE_HEADS = (b"\x32\xff\xff\xff\x7f", b"\x30\x80\x80\x02", b"\x32\x80\x80\x02\x40\x00")


def login(dice):
    """A CONNACK, most often a good one."""
    if dice.hits(85):
        return peer.connack(0, dice.below(2))
    return mutate(dice, peer.connack(dice.below(7), dice.below(2)), dice.below(3))


def stream(dice, sent):
    """What follows it, for a client that sent these packets."""
    parts = [_packet(dice, sent) for _ in range(1 + dice.below(6))]
    if dice.hits(4):
        parts.append(dice.pick(HUGE_HEADS) + dice.octets(40))
    if dice.hits(3):
        parts.insert(dice.below(len(parts) + 1), dice.octets(1 + dice.below(60)))
    return mutate(dice, b"".join(parts), dice.pick((0, 1, 1, 1, 2, 3, 5)))


def _packet(dice, sent):
    kind = dice.below(10)
    if kind < 5:
        size = dice.pick(LARGE_SIZES if dice.hits(2) else SIZES)
        number = 1 + dice.below(3) if dice.hits(50) else 0
        return peer.message(dice.pick(TOPICS), b"p" * size, number, 8 if dice.hits(10) else 0)
    if kind < 7:
        return peer.puback(_packet_id(dice, sent, peer.PUBLISH))
    if kind == 7:
        number = _packet_id(dice, sent, peer.SUBSCRIBE)
        return peer.suback(number, dice.pick((0, 1, 1, 1, 128, 2)))
    if kind == 8:
        return peer.unsuback(_packet_id(dice, sent, peer.UNSUBSCRIBE))
    return peer.PINGRESP


def _packet_id(dice, sent, wanted):
    """One of those in the client's packets of a type, or any."""
    found = []
    for first, body in sent:
        if first >> 4 == wanted >> 4:
            if wanted != peer.PUBLISH:
                found.append(peer.packet_id(body))
            elif first & 6:
                found.append(peer.published(first, body)[2])
    if found and dice.hits(95):
        return dice.pick(found)
    return dice.below(65536)


def honest_answers(packets):
    """What an honest server answers to a client's packets."""
    out = []
    for first, body in packets:
        if first == peer.SUBSCRIBE:
            granted = [qos for _, qos in peer.filters(first, body)]
            out.append(peer.suback(peer.packet_id(body), *granted))
        elif first == peer.UNSUBSCRIBE:
            out.append(peer.unsuback(peer.packet_id(body)))
        elif first == peer.PINGREQ:
            out.append(peer.PINGRESP)
        elif first & 0xF6 == peer.PUBLISH | 2:
            out.append(peer.puback(peer.published(first, body)[2]))
    return b"".join(out)
