"""Messages of CoAP as RFC 7252 has them: answered once, rejected when unreadable, repeated when a
response goes alone. Datagrams are written out by hand here."""

import asyncio
import random

import pytest
from aiocoap.numbers import codes

from tools.hub.clock import HubClock
from tools.hub.device_coap import conversation as timing
from tools.hub.device_coap.conversation import MAX_REMEMBERED, Answer, Conversation
from tools.hub.device_coap.tokens import MAX_TOKENS_PER_DEVICE, TOKEN_LIFE_S, Tokens
from tools.hub.identity import Identity

CON, NON, ACK, RST = 0x40, 0x50, 0x60, 0x70
POST, VALID, CONTENT = 2, 0x43, 0x45
TOKEN = b"\x01\x02\x03\x04"


def datagram(kind, code, message_id, token=TOKEN, rest=b""):
    head = bytes((kind | len(token), code))
    return head + message_id.to_bytes(2, "big") + token + rest


def post(message_id, payload=b"p", kind=CON):
    # Uri-Path "x", then the payload.
    return datagram(kind, POST, message_id, rest=b"\xb1x\xff" + payload)


class Desk:
    def __init__(self, answer=None):
        self.asked = []
        self.sent: list[bytes] = []
        self._answer = answer or Answer(codes.VALID)
        self.conversation = Conversation(self._ask, self.sent.append)

    def _ask(self, request):
        self.asked.append(request.payload)
        return self._answer

    def receives(self, data):
        """What was sent back."""
        self.conversation.received(data)
        sent, self.sent[:] = list(self.sent), []
        return sent


def in_loop(scenario):
    """Runs a scenario that needs a loop's clock, without waiting."""
    return lambda: asyncio.run(scenario())


@in_loop
async def test_a_request_is_answered_with_its_id_and_token():
    desk = Desk(Answer(codes.CONTENT, b"token"))
    reply = datagram(ACK, CONTENT, 7, rest=b"\xfftoken")
    assert desk.receives(post(7)) == [reply]
    assert desk.receives(post(7)) == [reply], "a duplicate is answered alike"
    assert desk.asked == [b"p"], "and asked once"
    desk.receives(post(8))
    assert len(desk.asked) == 2


@in_loop
async def test_what_is_not_confirmable_is_answered_so_and_once():
    desk = Desk()
    (first,) = desk.receives(post(7, kind=NON))
    assert (first[0], first[1], first[4:]) == (NON | 4, VALID, TOKEN)
    assert desk.receives(post(7, kind=NON)) == [first]
    assert desk.asked == [b"p"]


@in_loop
async def test_pings_and_responses_are_rejected():
    desk = Desk()
    assert desk.receives(datagram(CON, 0, 5, b"")) == [datagram(RST, 0, 5, b"")]
    assert desk.receives(datagram(CON, CONTENT, 6)) == [datagram(RST, 0, 6, b"")]
    for quiet in (datagram(NON, CONTENT, 7), datagram(ACK, 0, 8, b""), datagram(RST, 0, 9, b"")):
        assert desk.receives(quiet) == []
    assert desk.asked == []


@pytest.mark.parametrize(
    ("data", "is_rejected"),
    [
        (b"", False),
        (b"\x40\x02\x00", False),
        (b"\xc0\x02\x00\x05", False),
        (datagram(CON, POST, 5, rest=b"\xb9x"), True),
        (datagram(NON, POST, 5, rest=b"\xb9x"), False),
        (datagram(CON, POST, 5, rest=b"\xb1\xff"), True),
        (bytes((CON | 9, POST, 0, 5)) + bytes(9), True),
        (bytes((CON | 15, POST, 0, 5)), True),
        (bytes((CON | 4, POST, 0, 5)) + b"\x01", True),
    ],
    ids=["empty", "short", "version", "option", "non", "utf8", "long token", "tkl", "cut"],
)
def test_what_cannot_be_read_is_rejected(data, is_rejected):
    async def scenario():
        desk = Desk()
        assert desk.receives(data) == ([datagram(RST, 0, 5, b"")] if is_rejected else [])
        assert desk.asked == []

    asyncio.run(scenario())


def test_a_response_that_goes_alone_is_repeated_until_it_is_acknowledged(monkeypatch):
    monkeypatch.setattr(timing, "ACK_TIMEOUT_S", 0.02)

    async def scenario():
        for end in (ACK, RST):
            desk = Desk(Answer(codes.CONTENT, b"late", delay_ms=10))
            assert desk.receives(post(7)) == [datagram(ACK, 0, 7, b"")]
            assert desk.receives(post(7)) == [datagram(ACK, 0, 7, b"")]
            await asyncio.sleep(0.08)
            assert len(desk.sent) >= 2 and len(set(desk.sent)) == 1
            response = desk.sent[0]
            own_id = int.from_bytes(response[2:4], "big")
            assert response == datagram(CON, CONTENT, own_id, rest=b"\xfflate")
            desk.receives(datagram(end, 0, own_id, b""))
            await asyncio.sleep(0.15)
            assert desk.sent == [] and len(desk.asked) == 1

    asyncio.run(scenario())


def test_a_response_that_nobody_acknowledges_is_given_up(monkeypatch):
    monkeypatch.setattr(timing, "ACK_TIMEOUT_S", 0.001)

    async def scenario():
        desk = Desk(Answer(codes.CONTENT, b"late", delay_ms=1))
        desk.conversation.received(post(7))
        await asyncio.sleep(0.3)
        assert desk.sent.count(desk.sent[-1]) == 1 + timing.MAX_RETRANSMIT
        assert not desk.conversation._separate

    asyncio.run(scenario())


@in_loop
async def test_what_is_remembered_is_bounded_and_ages():
    desk = Desk()
    for message_id in range(MAX_REMEMBERED + 50):
        desk.receives(post(message_id))
    assert len(desk.conversation._remembered) == MAX_REMEMBERED
    expiry_s, reply = desk.conversation._remembered[100]
    desk.conversation._remembered[100] = expiry_s - timing.EXCHANGE_LIFETIME_S - 1, reply
    asked = len(desk.asked)
    desk.receives(post(100))
    assert len(desk.asked) == asked + 1, "an id may be used again after its lifetime"


@in_loop
async def test_separate_responses_are_bounded():
    desk = Desk(Answer(codes.CONTENT, b"late", delay_ms=60_000))
    for message_id in range(100):
        desk.conversation.received(post(message_id))
    assert len(desk.conversation._separate) == timing.MAX_SEPARATE
    for pending in desk.conversation._separate.values():
        pending.cancel()


def test_no_datagram_raises(sweep_full):
    count = 1_000_000 if sweep_full else 20_000
    good = [post(7), post(8, b"x" * 1000), datagram(CON, 0, 5, b""), datagram(ACK, CONTENT, 9)]

    async def scenario():
        desk = Desk()
        dice = random.Random(20261122)
        for number in range(count):
            data = bytearray(dice.choice(good))
            data[2:4] = (number % 65536).to_bytes(2, "big")
            for _ in range(dice.randrange(1, 5)):
                at = dice.randrange(len(data) + 1)
                kind = dice.randrange(3)
                if kind == 0 and at < len(data):
                    data[at] = dice.randrange(256)
                elif kind == 1:
                    data.insert(at, dice.randrange(256))
                else:
                    del data[at:]
            for reply in desk.receives(bytes(data)):
                assert len(reply) <= len(data) + 8, "an amplifier"
        assert desk.asked, "nothing came through"
        assert desk.receives(post(0xFFFF)) != []

    asyncio.run(scenario())


def test_tokens_are_the_devices_own_and_expire():
    clock = HubClock()
    tokens = Tokens(clock)
    one, other = Identity("PRODUCTID1", "one"), Identity("PRODUCTID1", "other")
    issued = [tokens.issue(one) for _ in range(MAX_TOKENS_PER_DEVICE + 1)]
    assert len(set(issued)) == len(issued) and {len(token) for token in issued} == {10}
    assert [tokens.is_valid(one, token) for token in issued] == [False] + [True] * 4
    assert not tokens.is_valid(other, issued[-1]) and not tokens.is_valid(one, b"")
    clock.offset_s += TOKEN_LIFE_S + 1
    assert not tokens.is_valid(one, issued[-1])
