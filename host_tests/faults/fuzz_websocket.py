"""Mutation fuzz of WebSocket: the answer to the opening handshake, and frames.

    PYTHONPATH=.:firmware/lib python host_tests/faults/fuzz_websocket.py --seed 1 --cases 1000

A case is some answers and some conversations that are almost right. An answer is taken or is a
typed error. Of a conversation comes what a second reading of the same bytes finds: the same
payload, the same end, one PONG for each PING; whatever the pieces they arrive in. Then one that is
right is read to the byte. CPython and MicroPython come to the same digest. `--subject NAME` runs a
known-bad stream: status 1.
"""

import sys
import time

if not hasattr(time, "ticks_ms"):  # CPython; no time passes
    setattr(time, "ticks_ms", lambda: 0)  # noqa: B010, which both checkers of types take
    setattr(time, "ticks_diff", lambda a, b: a - b)  # noqa: B010

from iothub.codec import websocket as codec
from iothub.errors import LinkError, ProtocolError
from iothub.net.websocket import WebSocketStream

from host_tests.faults import fuzz_run
from host_tests.faults.fuzz_dice import Dice, mutate
from host_tests.faults.fuzz_run import FuzzFailure
from host_tests.unit.iothub.websocket_server import Source, accepting, frame, unmasked_frames

INPUTS_A_CASE = 8  # four answers, four conversations
MAX_STEPS = 20_000
MAX_CONTROL_BYTES = 125
MAX_HEAD_BYTES = 2048 + 1
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPTING = accepting(b"Sec-WebSocket-Key: " + KEY + b"\r\n")
ODD_LINES = (
    b"HTTP/1.1 200 OK", b"HTTP/1.1 101", b"HTTP/1.1", b"", b"sec-websocket-protocol: mqtt",
    b"Sec-WebSocket-Protocol: chat", b"Sec-WebSocket-Extensions: permessage-deflate",
    b"Sec-WebSocket-Accept: x", b": x", b"Upgrade: websocket",
)  # fmt: skip
FIRST_BYTES = (0x82, 0x82, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88, 0x81, 0x83, 0xC2, 0x09, 0x8B)
SIZES = (0, 1, 5, 124, 125, 126, 127, 300)


class RaisesUntyped(WebSocketStream):
    """Lets a wrong opcode out as it is."""

    def _next_frame(self):
        try:
            return WebSocketStream._next_frame(self)
        except ProtocolError as error:
            raise ValueError(str(error)) from None


class KeepsControls(WebSocketStream):
    """Never forgets one: each grows by what came before."""

    def _next_frame(self):
        before = bytes(self._control)
        found = WebSocketStream._next_frame(self)
        if len(self._control) < len(before):
            self._control = bytearray(before) + self._control
        return found


class TakesFragmentsInAnyOrder(WebSocketStream):
    """Does not mind where a message begins."""

    def _next_frame(self):
        self._in_message = bool(self._frame_have) and self._frame[0] & 15 == codec.CONTINUATION
        return WebSocketStream._next_frame(self)


class SwallowsPings(WebSocketStream):
    """Answers none that is empty."""

    def _send_frame(self, opcode, payload, size):
        if opcode != codec.PONG or size:
            WebSocketStream._send_frame(self, opcode, payload, size)


class LosesTheEnd(WebSocketStream):
    """Takes a close for nothing more to read."""

    def readinto(self, buf):
        try:
            return WebSocketStream.readinto(self, buf)
        except LinkError as error:
            if isinstance(error, ProtocolError):
                raise
            return 0


STREAMS = {
    "real": WebSocketStream,
    "RaisesUntyped": RaisesUntyped,
    "KeepsControls": KeepsControls,
    "TakesFragmentsInAnyOrder": TakesFragmentsInAnyOrder,
    "SwallowsPings": SwallowsPings,
    "LosesTheEnd": LosesTheEnd,
}


def _new(stream, source):
    made = stream(source, "h.example", 80, "/mqtt")
    made._opening._key = KEY  # random otherwise, and the digest with it
    return made


def _cuts(dice, size):
    return sorted([dice.below(size + 1) for _ in range(dice.below(4))])


def _open(stream, source, answer, dice):
    """The stream after its handshake. Raises what it raises."""
    made = _new(stream, source)
    source.feed(answer, *_cuts(dice, len(answer)))
    source.end()
    for _ in range(MAX_STEPS):
        if made.step():
            return made
        if len(made._opening._head) > MAX_HEAD_BYTES:
            raise FuzzFailure("the head grows")
    raise FuzzFailure("the handshake stands still")


def _answer(stream, dice, tally):
    lines = ACCEPTING.split(b"\r\n")
    if dice.hits(50):
        at = dice.below(len(lines) - 1)
        lines[at : at + dice.below(2)] = [dice.pick(ODD_LINES)]
    if dice.hits(2):
        lines[1:1] = [b"X: " + b"y" * 2100]
    answer = bytes(mutate(dice, b"\r\n".join(lines), dice.pick((0, 0, 1, 2, 5))))
    try:
        _open(stream, Source(), answer, dice)
    except LinkError as error:
        _count(tally, "handshake", error)
        return
    head = answer[: answer.index(b"\r\n\r\n")]
    for needed in (b" 101", ACCEPTING[-32:-4].strip()):
        if needed not in head:
            raise FuzzFailure("a handshake without " + needed.decode())
    tally.count("handshake taken")


def _frames(dice):
    out = b""
    for _ in range(1 + dice.below(6)):
        # Mostly what a server may send next; now and then anything.
        first = dice.pick((0x82, 0x82, 0x02, 0x80, 0x89, 0x8A))
        if dice.hits(15):
            first = dice.pick(FIRST_BYTES)
        size = dice.pick(SIZES)
        if first & 8:
            size = min(size, MAX_CONTROL_BYTES + dice.hits(5))
        out += frame(first, dice.pick((b"p", b"\x03", b"\xff")) * size)
        if dice.hits(4):
            out += bytes([dice.pick(FIRST_BYTES), 127]) + dice.octets(8)
    return bytes(mutate(dice, out, dice.pick((0, 0, 0, 1, 1, 3))))


def _expected(data):
    """(payload, pings, end) that RFC 6455 makes of what a server sent: end is "more", "closed" or
    "error". Of the last frame comes as much as is there."""
    pings: list = []
    payload, at, in_message = b"", 0, False
    while len(data) - at >= 2:
        first, size = data[at], data[at + 1]
        opcode = first & 15
        if first & 0x70 or size & 0x80 or opcode not in (0, 2, 8, 9, 10):
            return payload, pings, "error"
        if opcode >= 8 and (size > MAX_CONTROL_BYTES or not first & 0x80):
            return payload, pings, "error"
        extra = {126: 2, 127: 8}.get(size, 0)
        if len(data) - at < 2 + extra:
            break
        if extra:
            size = int.from_bytes(data[at + 2 : at + 2 + extra], "big")
        if opcode < 8 and (opcode == 0) != in_message:
            return payload, pings, "error"
        if size >> 31:
            return payload, pings, "error"
        at += 2 + extra
        part = data[at : at + size]
        at += size
        if opcode < 8:
            in_message = not first & 0x80
            payload += part
        elif len(part) < size:
            break
        elif opcode == 8:
            return payload, pings, "closed"
        elif opcode == 9:
            pings.append(part)
    return payload, pings, "more"


def _read(made, source, dice):
    """(payload, end) that the stream gives; the end as _expected() has it."""
    data = b""
    buf = bytearray(dice.pick((1, 7, 64, 400)))
    for _ in range(MAX_STEPS):
        try:
            count = made.readinto(buf)
        except ProtocolError:
            return data, "error"
        except LinkError:
            return data, "closed"
        if len(made._control) > MAX_CONTROL_BYTES:
            raise FuzzFailure("a control frame grows")
        if count == 0:
            return data, "more"
        if count:
            data += buf[:count]
    raise FuzzFailure("reading stands still")


def _opened(stream):
    """A stream whose handshake is over: read byte by byte, it would take most of the time."""
    source = Source()
    made = _new(stream, source)
    made._opening = None
    return made, source


def _converse(stream, dice, data, tally):
    made, source = _opened(stream)
    source.feed(data, *_cuts(dice, len(data)))
    source.end()
    found, end = _read(made, source, dice)
    payload, pings, wanted_end = _expected(data)
    if found != payload or end != wanted_end:
        raise FuzzFailure(f"{end} after {found!r}, not {wanted_end} after {payload!r}")
    pongs = [(0x8A, ping) for ping in pings]
    if unmasked_frames(source.taken()) != pongs:
        raise FuzzFailure("not one PONG for each PING")
    tally.count(end)
    if pings:
        tally.count("pings answered")
    tally.mix(f"{end} {found!r}")


def _honest(stream, dice):
    text = dice.octets(dice.pick(SIZES))
    at = dice.below(len(text) + 1)
    made, source = _opened(stream)
    data = frame(0x02, text[:at]) + frame(0x89, b"ping") + frame(0x80, text[at:])
    source.feed(data, *_cuts(dice, len(data)))
    source.end()
    if _read(made, source, dice) != (text, "more"):
        raise FuzzFailure("a good message was not read")
    if unmasked_frames(source.taken()) != [(0x8A, b"ping")]:
        raise FuzzFailure("a good ping was not answered")


def _count(tally, what, error):
    kind = "ProtocolError" if isinstance(error, ProtocolError) else "LinkError"
    tally.count(f"{what}: {kind}")


def make_run_case(stream):
    """The run_case of fuzz_run.run() for a class of streams."""

    def run_case(seed, case, tally):
        dice = Dice(seed, case)
        for _ in range(INPUTS_A_CASE // 2):
            _answer(stream, dice, tally)
            _converse(stream, dice, _frames(dice), tally)
        _honest(stream, dice)

    return run_case


if __name__ == "__main__":
    sys.exit(fuzz_run.main("fuzz_websocket", STREAMS, make_run_case))
