"""Mutation fuzz of CoAP: datagrams from anyone.

    PYTHONPATH=.:firmware/lib python host_tests/faults/fuzz_coap.py --seed 1 --cases 1000

A case is a request, some datagrams that are almost answers to it, with time passing between, and
then an honest request with its answer, which must be believed. Only typed errors come out; nothing
is sent back but acknowledgements and rejections of what came; only a response with the request's
token is taken. CPython and MicroPython come to the same digest. `--subject NAME` runs a known-bad
client: status 1.
"""

import sys

from iothub.codec import coap
from iothub.codec.coap import ACK, CON, NON, RST, Exchanges, decode, encode
from iothub.errors import LinkError, ProtocolError, ServiceRefused
from iothub.services import coap as cloud

from host_tests.faults import fuzz_run
from host_tests.faults.fuzz_dice import Dice, mutate
from host_tests.faults.fuzz_run import FuzzFailure

INPUTS_A_CASE = 8  # datagrams
MAX_REMEMBERED = 8
CODES = (0x45, 0x41, 0x81, 0x83, 0xA0, 0x44, 0, 1, 2, 0x60, 0xFF, 0x1F)
OPTIONS: tuple = (
    (),
    (),
    ((12, b""),),
    ((14, b"\x3c"), (23, b"\x06")),
    ((4, b"etag1234"), (8, b"a"), (8, b"b")),
    ((61, b"x" * 300),),
    ((2049, b"v"),),
)


class TakesAnyToken(Exchanges):
    """Believes whoever answers."""

    def _takes(self, code, token, options, payload):
        if self.state != coap.IDLE and code >> 5 in (2, 4, 5):
            self.state = coap.IDLE
            self.response = (code, options, payload)
            return True
        return False


class RemembersEverything(Exchanges):
    """Never forgets a message of the server."""

    def received(self, data):
        known = list(self._remembered)
        reply = Exchanges.received(self, data)
        known.append(data)
        self._remembered = known
        return reply


class RaisesForMalformed(Exchanges):
    """Lets a stranger's datagram end the request."""

    def received(self, data):
        if len(data) < 4:
            return (data[3],)
        return Exchanges.received(self, data)


class AnswersWithMore(Exchanges):
    """Acknowledges with the payload it was sent: an amplifier."""

    def received(self, data):
        reply = Exchanges.received(self, data)
        return reply and reply + data[4:]


class GoesDeaf(Exchanges):
    """Is in two minds after a rejection."""

    def received(self, data):
        before = self.state
        try:
            return Exchanges.received(self, data)
        except LinkError:
            self.state = before
            raise


CLIENTS = {
    "real": Exchanges,
    "TakesAnyToken": TakesAnyToken,
    "RemembersEverything": RemembersEverything,
    "RaisesForMalformed": RaisesForMalformed,
    "AnswersWithMore": AnswersWithMore,
    "GoesDeaf": GoesDeaf,
}


def _datagram(dice, message_id, token):
    """Bytes that are almost an answer."""
    kind = dice.pick((ACK, ACK, CON, CON, NON, RST))
    code = dice.pick(CODES)
    if kind == RST or (kind == ACK and dice.hits(30)):
        code = 0
    if dice.hits(50):
        message_id = dice.pick((message_id, message_id + 1 & 0xFFFF, dice.below(65536)))
    if dice.hits(20):
        token = dice.octets(dice.below(9))
    if code == 0:
        data = encode(kind, 0, message_id)
    else:
        payload = b"p" * dice.pick((0, 1, 20, 1000))
        data = encode(kind, code, message_id, token, dice.pick(OPTIONS), payload)
    return bytes(mutate(dice, data, dice.pick((0, 0, 0, 1, 1, 2, 4))))


def _check_codec(data, tally):
    try:
        found = decode(data)
    except ProtocolError:
        tally.count("malformed")
        return None
    tally.count("read")
    if decode(encode(*found)) != found or len(found[3]) > 8 or len(found[4]) > 32:
        raise FuzzFailure(f"read {found!r}")
    return found


def _check_reply(reply, found, data):
    if reply is None:
        return
    if found is None or found[0] != CON or len(reply) != 4:
        raise FuzzFailure(f"{reply!r} answers {data!r}")
    kind, code, message_id, _, _, _ = decode(reply)
    if kind not in (ACK, RST) or code or message_id != found[2]:
        raise FuzzFailure(f"{reply!r} answers {data!r}")


def _hostile(client, dice, tally):
    sent = client.request(coap.POST, [(11, b"a/b")], b"x")
    _, _, message_id, token, _, _ = decode(sent)
    seen: list = []
    for _ in range(INPUTS_A_CASE):
        data = dice.pick(seen) if seen and dice.hits(15) else _datagram(dice, message_id, token)
        seen.append(data)
        found = _check_codec(data, tally)
        was_waiting = client.state != coap.IDLE
        before = client.response
        failed = False
        try:
            _check_reply(client.received(data), found, data)
            if dice.hits(20) and client.advance(dice.pick((10, 1000, 30000))) not in (None, sent):
                raise FuzzFailure("something else is sent again")
        except LinkError as e:
            tally.count(type(e).__name__)
            tally.mix(e.reason)
            failed = True
        if failed and client.state != coap.IDLE:
            raise FuzzFailure("the request goes on after its error")
        if len(client._remembered) > MAX_REMEMBERED:
            raise FuzzFailure(f"{len(client._remembered)} messages remembered")
        if client.response is not before:
            tally.count("response")
            tally.mix(str(client.response[0]) + str(len(client.response[2])))
            if not was_waiting or found is None or found[3] != token:
                raise FuzzFailure(f"{data!r} was believed")


def _honest(client, dice):
    _, _, message_id, token, _, _ = decode(client.request(coap.GET))
    kind = dice.pick((ACK, CON, NON))
    own_id = message_id if kind == ACK else message_id ^ 0x5A5A
    if kind != ACK and own_id in client._remembered:
        return
    if kind != ACK and dice.hits(50):
        client.received(encode(ACK, 0, message_id))
    client.received(encode(kind, 0x45, own_id, token, (), b"good"))
    if client.response != (0x45, [], b"good"):
        raise FuzzFailure("a good response was not believed")


def _cloud(dice, tally):
    """The cloud's codes and tokens, any of them at any time."""
    for _ in range(4):
        code = 0x45 if dice.hits(50) else dice.pick(CODES)
        payload = dice.octets(dice.pick((0, 1, 10, 64, 65)))
        try:
            token = cloud.token(code, payload)
            options, _ = cloud.publication(b"PRODUCTID1/dev01/event", b"x", token)
            if options[1] != (61, payload) or len(payload) > 64:
                raise FuzzFailure("a token of over 64 bytes, or another")
            tally.count("token")
        except (ServiceRefused, ProtocolError) as e:
            tally.count(type(e).__name__ + " of the cloud")


def make_run_case(client):
    """The run_case of fuzz_run.run() for a client."""

    def run_case(seed, case, tally):
        dice = Dice(seed, case)
        past: list = []
        made = client(lambda bits: dice.below(1 << bits), past)
        for _ in range(1 + dice.below(2)):
            _hostile(made, dice, tally)
            if dice.hits(50):  # who goes on with the same server
                made = client(lambda bits: dice.below(1 << bits), past)
        _honest(made, dice)
        _cloud(dice, tally)

    return run_case


if __name__ == "__main__":
    sys.exit(fuzz_run.main("fuzz_coap", CLIENTS, make_run_case))
