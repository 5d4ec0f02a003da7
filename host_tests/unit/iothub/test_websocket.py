"""codec/websocket.py against the examples of RFC 6455, and frames taken apart as it says."""

from iothub.codec import websocket, websocket_opening
from iothub.errors import ProtocolError

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.websocket_server import unmasked_frames

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # section 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MASK = b"\x37\xfa\x21\x3d"  # section 5.7

SIZES = (0, 1, 2, 63, 64, 65, 124, 125, 126, 127, 128, 129, 191, 192, 193, 1000, 16384, 65535)


def answer(**changes):
    """The server's answer to KEY; a field of None is left out."""
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": ACCEPT.decode(),
        "Sec-WebSocket-Protocol": "mqtt",
    }
    for name in changes:
        if name != "status":
            fields[name.replace("_", "-")] = changes[name]
    lines = [changes.get("status", "HTTP/1.1 101 Switching Protocols")]
    for name in fields:
        if fields[name] is not None:
            lines.append(name + ": " + fields[name])
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def refused(**changes):
    return raises(ProtocolError, websocket_opening.check_answer, answer(**changes), KEY).reason


def framed(payload, opcode=websocket.BINARY, mask=MASK):
    buf = bytearray(len(payload) + websocket.MAX_HEADER_BYTES)
    size = websocket.put_frame(buf, opcode, payload, len(payload), mask)
    return bytes(buf[:size])


# The opening handshake


def test_the_key_is_16_bytes_in_base64():
    assert websocket_opening.handshake_key(b"the sample nonce") == KEY


def test_the_request_has_what_section_4_1_demands():
    lines = websocket_opening.handshake_request("h.example", 8080, "/mqtt", KEY).split(b"\r\n")
    assert lines[0] == b"GET /mqtt HTTP/1.1"
    assert sorted(lines[1:-2]) == [
        b"Connection: Upgrade",
        b"Host: h.example:8080",
        b"Sec-WebSocket-Key: " + KEY,
        b"Sec-WebSocket-Protocol: mqtt",
        b"Sec-WebSocket-Version: 13",
        b"Upgrade: websocket",
    ]
    assert lines[-2:] == [b"", b""]


def test_the_answer_of_section_1_3_is_accepted():
    websocket_opening.check_answer(answer(), KEY)
    websocket_opening.check_answer(answer(Server="x", Date="y: z"), KEY)
    # Names in any case, values with any space around.
    lower = answer().replace(b"Sec-WebSocket-Accept: ", b"sec-websocket-ACCEPT:  ")
    websocket_opening.check_answer(lower, KEY)


def test_answers_that_do_not_agree_are_refused():
    for status in ("HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "HTTP/1.1", "", "101", "SSH-2.0"):
        assert "answered " + status[:60] in refused(status=status)
    assert "Accept" in refused(Sec_WebSocket_Accept=None)
    assert "Accept" in refused(Sec_WebSocket_Accept=KEY.decode())
    assert "Accept" in refused(Sec_WebSocket_Accept=ACCEPT.decode().lower())
    assert "mqtt" in refused(Sec_WebSocket_Protocol=None)
    assert "mqtt" in refused(Sec_WebSocket_Protocol="mqttv3.1")
    assert "extension" in refused(Sec_WebSocket_Extensions="permessage-deflate")


def test_what_a_server_answers_is_told_without_its_control_characters():
    reason = refused(status="HTTP/1.1 500 \x1b[31m\x07" + "x" * 5000)
    assert "\x1b" not in reason and "\x07" not in reason and len(reason) < 100


# Frames


def test_the_masked_frame_of_section_5_7():
    hello = framed(b"Hello", websocket.TEXT)
    assert hello == b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
    assert framed(b"Hello", websocket.PONG) == b"\x8a" + hello[1:]


def test_masking_round_trip_of_sizes_at_every_border():
    for size in SIZES:
        payload = (bytes(range(251)) * 262)[:size]
        for mask in (MASK, b"\x00\x00\x00\x00", b"\xff\x00\xff\x01"):
            wire = framed(payload, mask=mask)
            assert unmasked_frames(wire) == [(0x82, payload)]
            head = 2 if size < 126 else 4
            assert wire[head : head + 4] == mask
            assert len(wire) == head + 4 + size


def test_only_so_much_of_the_payload_is_sent():
    buf = bytearray(100)
    size = websocket.put_frame(buf, websocket.BINARY, b"abcdefgh", 3, MASK)
    assert unmasked_frames(bytes(buf[:size])) == [(0x82, b"abc")]
    view = memoryview(bytearray(b"0123456789" * 20))
    buf = bytearray(300)
    size = websocket.put_frame(buf, websocket.BINARY, view, 200, MASK)
    assert unmasked_frames(bytes(buf[:size])) == [(0x82, b"0123456789" * 20)]


def test_a_frame_over_64_kib_is_refused():
    buf = bytearray(65536 + websocket.MAX_HEADER_BYTES)
    raises(ValueError, websocket.put_frame, buf, websocket.BINARY, bytes(65536), 65536, MASK)


def test_a_header_tells_its_own_size():
    for first in (0x82, 0x02, 0x00, 0x80):
        assert websocket.header_size(bytes([first, 0]), 0) == 2
        assert websocket.header_size(bytes([first, 0]), 1) == 2
        for length, size in ((0, 2), (125, 2), (126, 4), (127, 10)):
            assert websocket.header_size(bytes([first, length]), 2) == size
    for first in (0x88, 0x89, 0x8A):
        assert websocket.header_size(bytes([first, 125]), 2) == 2


def test_payload_sizes_as_section_5_7_shows_them():
    assert websocket.payload_size(b"\x82\x05") == 5
    assert websocket.payload_size(b"\x82\x7e\x01\x00") == 256
    assert websocket.payload_size(b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00") == 65536
    assert websocket.payload_size(b"\x82\x7f\x00\x00\x00\x00\x7f\xff\xff\xff") == 0x7FFFFFFF


def test_a_frame_over_31_bits_is_refused():
    for high in (
        b"\x00\x00\x00\x00\x80\x00\x00\x00",
        b"\x00\x00\x00\x01\x00\x00\x00\x00",
        b"\x80\x00\x00\x00\x00\x00\x00\x00",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    ):
        assert "2 GiB" in raises(ProtocolError, websocket.payload_size, b"\x82\x7f" + high).reason


def test_every_first_byte_and_length():
    allowed_data = (0x00, 0x80, 0x02, 0x82)
    allowed_control = (0x88, 0x89, 0x8A)
    for first in range(256):
        for second in range(256):
            header = bytes([first, second])
            good = second < 128 and (
                first in allowed_data or (first in allowed_control and second <= 125)
            )
            if good:
                websocket.header_size(header, 2)
            else:
                raises(ProtocolError, websocket.header_size, header, 2)


def test_close_reasons():
    assert websocket.close_reason(b"") == "no reason"
    assert websocket.close_reason(b"\x03") == "no reason"
    assert websocket.close_reason(b"\x03\xe8") == "1000 "
    assert websocket.close_reason(b"\x03\xeaprotocol error") == "1002 protocol error"
    assert websocket.close_reason(bytearray(b"\x03\xf0\x1b\xff")) == "1008 \\x1b\\xff"
    assert len(websocket.close_reason(b"\x03\xea" + b"x" * 123)) <= 70
