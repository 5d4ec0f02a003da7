"""net/websocket.py over a stream that is cut and stuck at every place."""

import time

if not hasattr(time, "ticks_ms"):  # CPython; here no time passes
    time.ticks_ms = lambda: 0  # type: ignore[assignment, return-value]
    time.ticks_diff = lambda a, b: a - b

from iothub.errors import DeadlineError, LinkError, ProtocolError
from iothub.net import websocket
from iothub.timeouts import WEBSOCKET_HANDSHAKE_MS

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.websocket_server import Source, accepting, frame, unmasked_frames

BINARY, CONTINUED, PING, PONG, CLOSE = 0x82, 0x80, 0x89, 0x8A, 0x88
FIRST_OF_MORE, MIDDLE = 0x02, 0x00


def new_stream(source):
    return websocket.WebSocketStream(source, "h.example", 80, "/mqtt")


def opened(source):
    """A stream after its opening handshake."""
    stream = new_stream(source)
    while not source.wire.endswith(b"\r\n\r\n"):
        assert stream.step() is False
    source.feed(accepting(source.taken()))
    while not stream.step():
        pass
    return stream


def received(stream, source, size=64):
    """Everything the stream gives until the source is dry; whether it came to its end."""
    data = b""
    buf = bytearray(size)
    while True:
        dry = source.dry
        count = stream.readinto(buf)
        if count == 0:
            return data, True
        if count is None:
            if dry:
                return data, False
            continue
        data += bytes(buf[:count])


# The opening handshake


def test_the_request_is_sent_and_the_answer_taken_whatever_its_pieces():
    whole = len(accepting(b"Sec-WebSocket-Key: " + bytes(24)))
    for cut in range(whole + 1):
        source = Source()
        stream = new_stream(source)
        assert stream.step() is False
        request = source.taken()
        assert request.startswith(b"GET /mqtt HTTP/1.1\r\nHost: h.example:80\r\n")
        head = accepting(request)
        assert len(head) == whole
        source.feed(head, cut)
        if 0 < cut < whole:
            assert stream.step() is False
        assert stream.step() is True
        assert source.wire == b""


def test_a_request_that_goes_out_in_pieces():
    for takes in (1, 2, 50, 1000):
        source = Source(takes)
        stream = new_stream(source)
        while not source.wire.endswith(b"\r\n\r\n"):
            assert stream.step() is False
        source.feed(accepting(source.wire))
        while not stream.step():
            pass


def test_what_follows_the_answer_at_once_is_not_lost():
    source = Source()
    stream = new_stream(source)
    stream.step()
    source.feed(accepting(source.taken()) + frame(BINARY, b"\x20\x02\x00\x00"))
    assert stream.step() is True
    assert received(stream, source) == (b"\x20\x02\x00\x00", False)


def test_each_handshake_has_a_key_of_its_own():
    keys = set()
    for _ in range(5):
        source = Source()
        new_stream(source).step()
        keys.add(source.wire)
    assert len(keys) == 5


def test_an_end_anywhere_in_the_handshake_is_told():
    whole = len(accepting(b"Sec-WebSocket-Key: " + bytes(24)))
    for cut in range(whole):
        source = Source()
        stream = new_stream(source)
        stream.step()
        source.feed(accepting(source.taken())[:cut])
        source.end()
        error = raises(LinkError, stream.step)
        assert "closed by the server during the WebSocket handshake" == error.reason
        assert not isinstance(error, ProtocolError)


def test_a_reset_in_the_handshake_is_told():
    class Broken(Source):
        def read(self, size):
            raise OSError(104)

    error = raises(LinkError, new_stream(Broken()).step)
    assert "during the WebSocket handshake" in error.reason and error.code == 104


def test_an_answer_without_end_is_cut_off():
    source = Source()
    stream = new_stream(source)
    stream.step()
    source.feed(b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: y\r\n" * 1000)
    assert "too long" in raises(ProtocolError, stream.step).reason
    assert not source.dry  # nor was it all read


def test_an_answer_that_refuses_is_told():
    source = Source()
    stream = new_stream(source)
    stream.step()
    source.feed(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    assert "403 Forbidden" in raises(ProtocolError, stream.step).reason
    source.taken()
    stream.close()
    assert source.closed and source.wire == b""  # no frame to one who speaks HTTP


def test_the_handshake_has_a_deadline():
    stream = new_stream(Source())
    stream._opening._started_ms -= WEBSOCKET_HANDSHAKE_MS - 1000
    assert stream.step() is False
    stream._opening._started_ms -= 1001
    assert "no WebSocket in time" in raises(DeadlineError, stream.step).reason


# Reading

STREAM = b"0123456789" * 30
SERVER = (
    frame(BINARY, STREAM[:3])
    + frame(PING, b"p1")
    + frame(FIRST_OF_MORE, STREAM[3:10])
    + frame(PING)
    + frame(MIDDLE, b"")
    + frame(MIDDLE, STREAM[10:160])
    + frame(PONG, b"unasked")
    + frame(CONTINUED, STREAM[160:161])
    + frame(BINARY, b"")
    + frame(BINARY, STREAM[161:])
    + frame(PING, b"p3")
)
PONGS = [(PONG, b"p1"), (PONG, b""), (PONG, b"p3")]


def test_payload_comes_whole_when_the_stream_is_split_at_every_byte():
    for size in (1, 7, 64, 1024):
        for cut in range(len(SERVER) + 1):
            source = Source()
            stream = opened(source)
            source.feed(SERVER, cut)
            assert received(stream, source, size) == (STREAM, False), cut
            assert unmasked_frames(source.wire) == PONGS


def test_payload_comes_whole_in_single_bytes():
    source = Source()
    stream = opened(source)
    source.feed(SERVER, *range(len(SERVER)))
    assert received(stream, source) == (STREAM, False)
    assert unmasked_frames(source.wire) == PONGS


def test_large_frames():
    for size in (125, 126, 65535, 65536, 70000):
        payload = bytes([i & 255 for i in range(256)]) * (size // 256 + 1)
        payload = payload[:size]
        source = Source()
        stream = opened(source)
        source.feed(frame(BINARY, payload))
        assert received(stream, source, 4096) == (payload, False)


def test_an_end_anywhere_ends_the_stream():
    for cut in range(len(SERVER)):
        source = Source()
        stream = opened(source)
        source.feed(SERVER[:cut])
        source.end()
        data, ended = received(stream, source)
        assert ended and STREAM.startswith(data), cut
        assert stream.readinto(bytearray(9)) == 0  # and stays ended


def test_the_server_closes():
    for payload, reason in (
        (b"", "no reason"),
        (b"\x03\xe9bye", "1001 bye"),
        (b"\x03\xea", "1002 "),
    ):
        source = Source()
        stream = opened(source)
        source.feed(frame(BINARY, b"last") + frame(CLOSE, payload))
        buf = bytearray(10)
        assert stream.readinto(buf) == 4
        error = raises(LinkError, received, stream, source)
        assert error.reason == "closed by the server: " + reason
        stream.close()
        assert unmasked_frames(source.wire) == [(CLOSE, b"\x03\xe8")]
        assert source.closed


def test_what_no_server_sends_is_refused():
    for wrong in (
        frame(CONTINUED, b"of nothing"),
        frame(FIRST_OF_MORE, b"a") + frame(BINARY, b"b"),  # a message in a message
        frame(0x81, b"text"),
        frame(0xC2, b"compressed"),
        frame(0x09, b"fragmented ping"),
        frame(PING, bytes(126)),
        bytes([BINARY, 0x81]) + bytes(5),  # masked
        bytes([BINARY, 127]) + b"\xff" * 8,
    ):
        source = Source()
        stream = opened(source)
        source.feed(wrong)
        raises(ProtocolError, received, stream, source)


# Writing


def sent(stream, payload):
    """Writes as the session does: the same bytes again until they are taken."""
    tries = 0
    while True:
        written = stream.write(payload)
        if written is not None:
            assert written == len(payload)
            return
        tries += 1
        assert tries < 200000


def test_each_write_is_one_masked_frame():
    source = Source()
    stream = opened(source)
    for size in (1, 125, 126, 16384):
        sent(stream, bytes(size))
        assert unmasked_frames(source.taken()) == [(BINARY, bytes(size))]
    assert stream.write(b"abcdef", 2) == 2
    assert unmasked_frames(source.taken()) == [(BINARY, b"ab")]


def test_masks_differ():
    source = Source()
    stream = opened(source)
    masks = set()
    for _ in range(8):
        sent(stream, b"x")
        masks.add(source.taken()[2:6])
    assert len(masks) > 1


def test_a_write_that_the_source_takes_in_pieces_arrives_once():
    for takes in (1, 3, 100):
        source = Source(takes)
        stream = opened(source)
        payloads = [b"first", b"second" * 30, b"third" * 100]
        for payload in payloads:
            assert stream.write(payload) is None
            sent(stream, payload)
        assert unmasked_frames(source.wire) == [(BINARY, payload) for payload in payloads]


def test_reading_sends_on_what_is_stuck():
    source = Source()
    stream = opened(source)
    source.full = True
    assert stream.write(b"stuck") is None
    source.full = False
    assert stream.readinto(bytearray(5)) is None
    assert unmasked_frames(source.wire) == [(BINARY, b"stuck")]
    assert stream.write(b"stuck") == 5  # told now, not sent again
    assert len(unmasked_frames(source.wire)) == 1


def test_a_ping_while_a_frame_is_stuck_does_not_tear_it():
    source = Source()
    stream = opened(source)
    source.full = True
    assert stream.write(b"stuck") is None
    source.feed(frame(PING, b"1") + frame(BINARY, b"data"))
    assert received(stream, source) == (b"data", False)
    source.full = False
    sent(stream, b"stuck")
    source.feed(frame(PING, b"2"))
    received(stream, source)
    assert unmasked_frames(source.wire) == [(BINARY, b"stuck"), (PONG, b"2")]


def test_a_pong_that_is_stuck_goes_before_the_next_frame():
    source = Source()
    stream = opened(source)
    source.full = True
    source.feed(frame(PING, b"1") + frame(PING, b"2"))
    received(stream, source)
    assert stream.write(b"data") is None
    source.full = False
    sent(stream, b"data")
    assert unmasked_frames(source.wire) == [(PONG, b"1"), (BINARY, b"data")]


def test_close_says_goodbye_when_it_can():
    source = Source()
    stream = opened(source)
    stream.close()
    assert unmasked_frames(source.wire) == [(CLOSE, b"\x03\xe8")] and source.closed
    source = Source()
    stream = opened(source)
    source.full = True
    stream.write(b"stuck")
    stream.close()  # does not wait, and does not tear the frame
    assert source.wire == b"" and source.closed


def test_close_of_a_broken_source_is_quiet():
    class Broken(Source):
        def write(self, buf):
            if self.full:
                raise OSError(32)
            return super().write(buf)

    source = Broken()
    stream = opened(source)
    source.full = True
    stream.close()
    assert source.closed
