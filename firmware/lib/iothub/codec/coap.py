"""CoAP (RFC 7252), the client's side, on datagrams: confirmable requests, one at a time. Pure:
time comes as elapsed milliseconds, chance is handed in.

    all --request()--> UNACKNOWLEDGED
    UNACKNOWLEDGED --empty ACK--> ACKNOWLEDGED
    UNACKNOWLEDGED, ACKNOWLEDGED --the response, RST, or too late--> IDLE
"""

from iothub.compat import const
from iothub.errors import RECEIVE, DeadlineError, LinkError, ProtocolError
from iothub.timeouts import COAP_ACK_LAST_MS, COAP_ACK_MS, COAP_RESPONSE_MS

CON = const(0)
NON = const(1)
ACK = const(2)
RST = const(3)

EMPTY = const(0)
GET = const(1)
POST = const(2)
PUT = const(3)

URI_PATH = const(11)

IDLE = const(0)
UNACKNOWLEDGED = const(1)
ACKNOWLEDGED = const(2)

MAX_DATAGRAM_BYTES = const(1280)
_MAX_TOKEN_BYTES = const(8)
_MAX_OPTIONS = const(32)
_MAX_RETRANSMISSIONS = const(5)  # the vendor's C SDK's; the RFC has 4
_SPREAD_BITS = const(10)  # of milliseconds, over which first waits are spread: half of them
_REMEMBERED = const(8)  # messages of the server that may come again
_MARKER = const(0xFF)


def encode(kind, code, message_id, token=b"", options=(), payload=b""):
    """A message (bytes). `options`: (number, value bytes) in ascending order."""
    out = bytearray((0x40 | kind << 4 | len(token), code, message_id >> 8, message_id & 255))
    out.extend(token)
    last = 0
    for number, value in options:
        delta, delta_bytes = _extended(number - last)
        size, size_bytes = _extended(len(value))
        out.append(delta << 4 | size)
        out.extend(delta_bytes)
        out.extend(size_bytes)
        out.extend(value)
        last = number
    if payload:
        out.append(_MARKER)
        out.extend(payload)
    return bytes(out)


def decode(data):
    """(kind, code, message id, token, options, payload) of a message; `options` as for encode().
    Raises ProtocolError."""
    end = len(data)
    if not 4 <= end <= MAX_DATAGRAM_BYTES or data[0] >> 6 != 1:
        raise _broken("not a message of version 1")
    kind = data[0] >> 4 & 3
    size = data[0] & 15
    code = data[1]
    at = 4 + size
    if size > _MAX_TOKEN_BYTES or at > end:
        raise _broken("a token of %d bytes" % size)
    if code == EMPTY and end != 4:
        raise _broken("an empty message with something in it")
    token = data[4:at]
    options: list = []
    number = 0
    while at < end and data[at] != _MARKER:
        byte = data[at]
        delta, at = _length(data, at + 1, byte >> 4)
        size, at = _length(data, at, byte & 15)
        number += delta
        if at + size > end or number > 65535 or len(options) == _MAX_OPTIONS:
            raise _broken("its options")
        options.append((number, data[at : at + size]))
        at += size
    if at + 1 == end:
        raise _broken("a marker without a payload")
    return kind, code, data[2] << 8 | data[3], token, options, data[at + 1 :]


def _extended(number):
    """(nibble, further bytes) that tell an option's delta or length."""
    if number < 13:
        return number, b""
    if number < 269:
        return 13, bytes((number - 13,))
    number -= 269
    return 14, bytes((number >> 8, number & 255))


def _length(data, at, nibble):
    """(number, where it ends), the reverse."""
    if nibble < 13:
        return nibble, at
    if nibble == 15 or at + nibble - 12 > len(data):
        raise _broken("its options")
    if nibble == 13:
        return data[at] + 13, at + 1
    return (data[at] << 8 | data[at + 1]) + 269, at + 2


def _broken(what):
    return ProtocolError("coap: " + what)


class Exchanges:
    """One request after the other with one server. `getrandbits(n)` gives n random bits. `past`
    (list) is empty at first, and then for who goes on with the same server. `response` is (code,
    options, payload) when the last request was answered."""

    def __init__(self, getrandbits, past):
        if not past:
            # The request's number: its token, and with 16 bits its id. What is remembered.
            past.extend((getrandbits(30), []))
        self.state = IDLE
        self.response = None
        self._getrandbits = getrandbits
        self._past = past
        self._remembered = past[1]
        self._id = 0
        self._token = b""
        self._sent = b""
        self._wait_ms = 0
        self._left_ms = 0
        self._retransmissions = 0

    def request(self, code, options=(), payload=b""):
        """The datagram to send now, and again whenever advance() gives it. What was asked before
        is forgotten."""
        self.state = UNACKNOWLEDGED
        self.response = None
        self._past[0] = number = self._past[0] + 1 & 0xFFFFFFFF
        self._id = number & 0xFFFF
        self._token = number.to_bytes(4, "little")
        self._sent = encode(CON, code, self._id, self._token, options, payload)
        self._wait_ms = self._left_ms = COAP_ACK_MS + self._getrandbits(_SPREAD_BITS)
        self._retransmissions = 0
        return self._sent

    def advance(self, elapsed_ms):
        """Time passes: the datagram to send again, or None. Raises DeadlineError."""
        self._left_ms -= elapsed_ms
        if self.state == IDLE or self._left_ms > 0:
            return None
        if self.state == ACKNOWLEDGED or self._retransmissions == _MAX_RETRANSMISSIONS:
            self.state = IDLE
            raise DeadlineError("coap: no response in time", RECEIVE)
        self._retransmissions += 1
        self._wait_ms = self._left_ms = min(2 * self._wait_ms, COAP_ACK_LAST_MS)
        return self._sent

    def received(self, data):
        """Takes a datagram (bytes): the one to send back, or None. What is malformed, or not
        meant for the present request, is passed over: anyone can send a datagram. Raises LinkError
        when the server rejects the request."""
        try:
            kind, code, message_id, token, options, payload = decode(data)
        except ProtocolError:
            return None
        if kind < ACK:
            is_known = message_id in self._remembered  # our acknowledgement was lost
            if not is_known and self._takes(code, token, options, payload):
                is_known = True
                self._remembered.append(message_id)
                if len(self._remembered) > _REMEMBERED:
                    self._remembered.pop(0)
            if kind == CON:
                return encode(ACK if is_known else RST, EMPTY, message_id)
        elif self.state == UNACKNOWLEDGED and message_id == self._id:
            if kind == RST:
                self.state = IDLE
                raise LinkError("coap: the server rejects the message", RECEIVE)
            if code == EMPTY:
                # The response comes in a message of its own.
                self.state = ACKNOWLEDGED
                self._left_ms = COAP_RESPONSE_MS
            else:
                self._takes(code, token, options, payload)
        return None

    def _takes(self, code, token, options, payload):
        """Whether this is the response; then the request is over."""
        if self.state == IDLE or code >> 5 not in (2, 4, 5) or token != self._token:
            return False
        for number, _ in options:
            if number & 1:
                return False  # it must be understood; of a response we understand none
        self.state = IDLE
        self.response = (code, options, payload)
        return True
