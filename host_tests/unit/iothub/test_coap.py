"""The CoAP codec, its exchanges, and the cloud's rules for them."""

from iothub.codec import coap
from iothub.codec.coap import (
    ACK,
    ACKNOWLEDGED,
    CON,
    IDLE,
    NON,
    POST,
    RST,
    UNACKNOWLEDGED,
    decode,
    encode,
)
from iothub.credentials import Identity
from iothub.errors import BadInput, DeadlineError, LinkError, ProtocolError, ServiceRefused
from iothub.services import coap as cloud
from iothub.timeouts import COAP_ACK_LAST_MS, COAP_ACK_MS, COAP_RESPONSE_MS

from host_tests.unit.iothub.expect import raises
from host_tests.unit.iothub.state_table import steps, watched

# For each state, from IDLE on, those that may follow.
NEXT_STATES = ((UNACKNOWLEDGED,), (ACKNOWLEDGED, IDLE), (UNACKNOWLEDGED, IDLE))
met: set = set()
Exchanges = watched(coap.Exchanges, NEXT_STATES, met)

CREATED = 0x41
CONTENT = 0x45
# The first: RFC 7252, figure 16; its answer: figure 16 too. Then lengths around the limits.
MESSAGES: tuple = (
    (
        b"\x40\x01\x7d\x34\xbbtemperature",
        (CON, 1, 0x7D34, b"", [(11, b"temperature")], b""),
    ),
    (b"\x60\x45\x7d\x34\xff22.3 C", (ACK, CONTENT, 0x7D34, b"", [], b"22.3 C")),
    (b"\x44\x02\x00\x01abcd", (CON, POST, 1, b"abcd", [], b"")),
    (b"\x70\x00\xff\xff", (RST, 0, 65535, b"", [], b"")),
    (
        b"\x58\x02\x00\x01abcdefgh\xbd\x00" + b"p" * 13 + b"\xd1\x24k\x12no",
        (NON, POST, 1, b"abcdefgh", [(11, b"p" * 13), (60, b"k"), (61, b"no")], b""),
    ),
    (
        b"\x40\x02\x00\x01\xbe\x00\x00" + b"p" * 269 + b"\xed\x01\x02\x04" + b"v" * 17 + b"\xff!",
        (CON, POST, 1, b"", [(11, b"p" * 269), (11 + 269 + 258, b"v" * 17)], b"!"),
    ),
)
MALFORMED = (
    b"",
    b"\x40\x01\x00",
    b"\x00\x01\x00\x01",
    b"\x80\x01\x00\x01",
    b"\x49\x01\x00\x01123456789",
    b"\x4f\x01\x00\x01" + b"t" * 15,
    b"\x42\x01\x00\x01t",
    b"\x40\x00\x00\x01x",
    b"\x41\x00\x00\x01t",
    b"\x40\x01\x00\x01\xff",
    b"\x40\x01\x00\x01\xf0",
    b"\x40\x01\x00\x01\x0f",
    b"\x40\x01\x00\x01\xd0",
    b"\x40\x01\x00\x01\xe0\x00",
    b"\x40\x01\x00\x01\x0d",
    b"\x40\x01\x00\x01\xb2p",
    b"\x40\x01\x00\x01\xbe\xff\xffp",
    b"\x40\x01\x00\x01" + b"\x10" * 33,
    b"\x40\x01\x00\x01\xe0\xff\xff",
    b"\x40\x01\x00\x01\xff" + b"x" * 1280,
)


def _exchanges():
    return Exchanges(lambda bits: 1000, [])


def _request(made):
    """A running request: (message id, token)."""
    kind, _, message_id, token, _, _ = decode(made.request(POST, [(11, b"a")], b"payload"))
    assert kind == CON
    return message_id, token


def test_messages_both_ways():
    for data, (kind, code, message_id, token, options, payload) in MESSAGES:
        assert decode(data) == (kind, code, message_id, token, options, payload), data
        assert encode(kind, code, message_id, token, options, payload) == data


def test_what_is_malformed():
    for data in MALFORMED:
        raises(ProtocolError, decode, data)


def test_every_message_cut_off_is_read_or_refused():
    for data, _ in MESSAGES:
        for size in range(len(data)):
            try:
                decode(data[:size])
            except ProtocolError:
                pass


def test_a_piggybacked_response():
    made = _exchanges()
    message_id, token = _request(made)
    assert made.received(encode(ACK, CONTENT, message_id, token, [(12, b"")], b"yes")) is None
    assert made.response == (CONTENT, [(12, b"")], b"yes")
    assert made.state == coap.IDLE and made.advance(100000) is None


def test_a_separate_response_is_acknowledged_each_time_it_comes():
    for kind in (CON, NON):
        made = _exchanges()
        message_id, token = _request(made)
        assert made.received(encode(ACK, 0, message_id)) is None
        assert made.state == coap.ACKNOWLEDGED
        response = encode(kind, CONTENT, 7, token, (), b"later")
        for _ in range(3):
            reply = made.received(response)
            assert reply == (encode(ACK, 0, 7) if kind == CON else None)
        assert made.response == (CONTENT, [], b"later")
        for following in (made, Exchanges(lambda bits: 1000, made._past)):
            _request(following)
            assert following.received(response) == reply  # also while the next one waits
            assert following.response is None


def test_a_separate_response_that_overtakes_its_acknowledgement():
    made = _exchanges()
    message_id, token = _request(made)
    assert made.received(encode(CON, CREATED, 9, token)) == encode(ACK, 0, 9)
    assert made.response == (CREATED, [], b"")
    assert made.received(encode(ACK, 0, message_id)) is None
    assert made.state == coap.IDLE


def test_what_is_not_the_response_is_passed_over():
    made = _exchanges()
    message_id, token = _request(made)
    others = (
        encode(ACK, CONTENT, message_id + 1, token),
        encode(ACK, CONTENT, message_id, b"othr"),
        encode(ACK, 0, message_id + 1),
        encode(RST, 0, message_id + 1),
        encode(ACK, 1, message_id, token),
        encode(ACK, CONTENT, message_id, token, [(23, b"\x08")]),  # a block of many
        encode(NON, CONTENT, 5, b"othr"),
        encode(NON, 1, 6, token),
        b"\x40",
        b"",
    )
    for data in others:
        assert made.received(data) is None, data
    assert made.state == coap.UNACKNOWLEDGED and made.response is None
    # What wants an answer, and is not for us, is rejected: a ping, a stranger, a request.
    for data in (b"\x40\x00\x00\x08", encode(CON, CONTENT, 8, b"?"), encode(CON, 1, 8, token)):
        assert made.received(data) == encode(RST, 0, 8)
    made.received(encode(ACK, CONTENT, message_id, token))
    assert made.response is not None


def test_a_rejected_request():
    made = _exchanges()
    message_id, _ = _request(made)
    error = raises(LinkError, made.received, encode(RST, 0, message_id))
    assert "rejects" in error.reason and made.state == coap.IDLE
    _request(made)


def test_what_is_not_acknowledged_is_sent_again_later_and_later():
    made = _exchanges()
    first = made.request(POST, (), b"x")
    elapsed_ms = 0
    at_ms = []
    error = None
    while error is None:
        elapsed_ms += 10
        try:
            again = made.advance(10)
        except DeadlineError as e:
            error = e
            break
        if again is not None:
            assert again == first
            at_ms.append(elapsed_ms)
    first_ms = COAP_ACK_MS + 1000
    assert len(at_ms) == 5
    assert 0 <= at_ms[0] - first_ms < 10
    at_ms.append(elapsed_ms)
    for i in range(5):
        assert 0 <= at_ms[i + 1] - at_ms[i] - COAP_ACK_LAST_MS < 10
    assert made.state == coap.IDLE
    assert made.request(POST) != first


def test_an_acknowledgement_ends_the_retransmissions_and_the_wait_has_an_end():
    made = _exchanges()
    message_id, _ = _request(made)
    made.received(encode(ACK, 0, message_id))
    assert made.advance(COAP_RESPONSE_MS - 1) is None
    raises(DeadlineError, made.advance, 1)
    assert made.state == coap.IDLE


def test_ids_and_tokens_differ_and_wrap():
    numbers = [0xFFFFFFFE, 0]
    past: list = []
    seen = []
    for _ in range(4):
        made = Exchanges(lambda bits: numbers.pop(0) if numbers else 0, past)
        _, _, message_id, token, _, _ = decode(made.request(POST))
        seen.append((message_id, token))
    assert seen[0] == (65535, b"\xff\xff\xff\xff") and seen[1] == (0, b"\0\0\0\0")
    assert len(set(seen)) == 4


def test_a_request_replaces_the_one_before_in_every_state():
    for acknowledged in (False, True):
        made = _exchanges()
        message_id, token = _request(made)
        if acknowledged:
            made.received(encode(ACK, 0, message_id))
        _, another = _request(made)
        assert made.received(encode(CON, CONTENT, 7, token)) == encode(RST, 0, 7)
        assert made.received(encode(NON, CONTENT, 8, another)) is None
        assert made.response == (CONTENT, [], b"")


def test_every_step_of_the_table_is_met():
    met.clear()
    test_a_piggybacked_response()
    test_a_separate_response_is_acknowledged_each_time_it_comes()
    test_a_request_replaces_the_one_before_in_every_state()
    assert met == steps(NEXT_STATES)


# The cloud.

IDENTITY = Identity("PRODUCTID1", "dev01")
TOPIC = b"PRODUCTID1/dev01/event"
UNAUTHORISED = 0x81


def test_authentication():
    options, payload = cloud.authentication(IDENTITY.prefix, "abcde")
    assert options == [(11, b"PRODUCTID1/dev01/txauth9w0BAQsFA"), (62, b"0")]
    assert payload == b"12010126;abcde\0\0"
    assert cloud.token(CONTENT, b"token12345") == b"token12345"
    for code, payload in ((CONTENT, b""), (CONTENT, b"x" * 65), (CREATED, b"token")):
        raises(ProtocolError, cloud.token, code, payload)
    assert raises(ServiceRefused, cloud.token, 0x83, b"").code == 403


def test_publishing():
    options, payload = cloud.publication(TOPIC, b"hello", b"token12345")
    assert (options, payload) == ([(11, TOPIC), (61, b"token12345"), (62, b"0")], b"hello")
    cloud.check(CREATED, b"")
    error = raises(ServiceRefused, cloud.check, UNAUTHORISED, b"no")
    assert error.code == 401 and error.hint and "no" in error.reason


def test_refusals():
    for code, number in ((0x83, 403), (0x84, 404), (0xA0, 500), (0xA3, 503), (0x8D, 413)):
        error = raises(ServiceRefused, cloud.check, code, b"why\r\n\xff" * 40)
        assert error.code == number and error.phase == "publish"
        assert error.reason.startswith("CoAP %d.%02d " % (number // 100, number % 100))
        assert "why\\r\\n\\xff" in error.reason and len(error.reason) < 200
        reason = raises(ServiceRefused, cloud.check, code, b"").reason
        assert reason == "CoAP %d.%02d" % (number // 100, number % 100)


def test_what_is_too_large_for_the_cloud():
    for topic, payload, field in ((TOPIC, b"x" * 1025, "payload"), (b"t" * 129, b"x", "topic")):
        assert raises(BadInput, cloud.publication, topic, payload, b"").field == field
    options, payload = cloud.publication(b"t" * 128, b"x" * 1024, b"k" * 64)
    assert len(encode(CON, POST, 1, b"1234", options, payload)) <= coap.MAX_DATAGRAM_BYTES
