"""What a session owes its device: packet ids, order and age."""

from tools.hub.broker.outbound import MAX_PACKET_ID, Outbound, Owed


def owed(number: int, accepted_ms: int = 0, packet_id: int = 0) -> Owed:
    return Owed(number, "t", b"", accepted_ms, packet_id)


def test_packet_ids_wrap_and_skip_those_in_flight():
    outbound = Outbound()
    first = owed(0)
    outbound.send(first)
    assert first.packet_id == 1
    seen = set()
    for number in range(1, 70_000):
        message = owed(number)
        outbound.send(message)
        assert 1 < message.packet_id <= MAX_PACKET_ID, "1 is still in flight, 0 is none"
        seen.add(message.packet_id)
        assert outbound.acknowledge(message.packet_id) is message
    assert len(seen) == MAX_PACKET_ID - 1
    assert outbound.acknowledge(1) is first
    assert len(outbound) == 0


def test_an_unknown_packet_id_settles_nothing():
    outbound = Outbound()
    outbound.send(owed(1))
    assert outbound.acknowledge(2) is None
    assert outbound.acknowledge(1) is not None
    assert outbound.acknowledge(1) is None


def test_restored_in_order_with_the_next_id_free():
    outbound = Outbound()
    for message in (owed(1, packet_id=65535), owed(2, packet_id=1), owed(3), owed(4)):
        outbound.restore(message)
    assert list(outbound.in_flight) == [65535, 1]
    assert [each.row_id for each in outbound.stored] == [3, 4]
    following = owed(5)
    outbound.send(following)
    assert following.packet_id == 2


def test_expiry_takes_the_old_of_both_kinds():
    outbound = Outbound()
    for number, accepted_ms in ((1, 10), (2, 20)):
        outbound.send(owed(number, accepted_ms))
        outbound.stored.append(owed(number + 10, accepted_ms))
    expired = outbound.expire(lambda each: each.accepted_ms < 20)
    assert sorted(each.row_id for each in expired) == [1, 11]
    assert len(outbound) == 2
