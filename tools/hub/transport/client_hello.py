"""Reads the first message of TLS, to tell a pre-shared key from a certificate. Pure.

RFC 5246 sections 6.2.1 and 7.4.1.2, RFC 8446 section 4.2.11 for `pre_shared_key`; suite numbers
from IANA's registry.
"""

from collections.abc import Iterator
from dataclasses import dataclass

# Above what any client sends; a longer one is not waited for.
MAX_CLIENT_HELLO_BYTES = 16 * 1024

_HANDSHAKE_RECORD = 22
_CLIENT_HELLO = 1
_PRE_SHARED_KEY_EXTENSION = 41
_PSK_SUITES = frozenset(
    number
    for first, last in (
        (0x002C, 0x002E),
        (0x008A, 0x0095),
        (0x00A8, 0x00B9),
        (0xC033, 0xC03B),
        (0xC064, 0xC071),
        (0xC08E, 0xC09B),
        (0xC0A4, 0xC0AB),
        (0xCCAB, 0xCCAE),
        (0xD001, 0xD005),
    )
    for number in range(first, last + 1)
)
# Not key exchanges: renegotiation and fallback signals.
_SIGNALS = frozenset({0x00FF, 0x5600})
_HTTP_BEGINNINGS = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI")


class NotTls(Exception):
    """Bytes that cannot begin a TLS session. The text says what they are instead."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """The cipher suites in the client's order, and whether it names a TLS 1.3 pre-shared key."""

    suites: tuple[int, ...]
    names_key: bool

    @property
    def wants_psk(self) -> bool:
        """Whether the client would sooner use a pre-shared key than a certificate.

        Its order decides: a client that logs in by certificate may list PSK suites too, last.
        One that names a TLS 1.3 key has one, as this server never gave it a session ticket.
        """
        return self.names_key or self._first_suite() in _PSK_SUITES

    def _first_suite(self) -> int | None:
        for suite in self.suites:
            is_tls13 = suite >> 8 == 0x13
            is_grease = suite & 0x0F0F == 0x0A0A and suite >> 8 == suite & 0xFF
            if not is_tls13 and not is_grease and suite not in _SIGNALS:
                return suite
        return None


def parse_client_hello(data: bytes) -> ClientHello | None:
    """The ClientHello that `data` begins with; None while it is incomplete. Raises NotTls."""
    message = b"".join(_fragments(data))
    if message and message[0] != _CLIENT_HELLO:
        raise NotTls("the first TLS message is no ClientHello")
    if len(message) < 4:
        return None
    length = int.from_bytes(message[1:4], "big")
    if length > MAX_CLIENT_HELLO_BYTES:
        raise NotTls(f"a ClientHello of {length} bytes; at most {MAX_CLIENT_HELLO_BYTES} are read")
    if len(message) < 4 + length:
        return None
    try:
        return _parse_body(_Fields(message[4 : 4 + length]))
    except IndexError:
        raise NotTls("the ClientHello contradicts its own lengths") from None


def _fragments(data: bytes) -> Iterator[bytes]:
    """What the handshake records hold so far; judged as soon as a byte is wrong."""
    position = 0
    while position < len(data):
        if data[position] != _HANDSHAKE_RECORD:
            raise NotTls(
                _other_protocol(data) if position == 0 else "a record that is no handshake"
            )
        if position + 1 < len(data) and data[position + 1] != 3:
            raise NotTls(f"TLS record version {data[position + 1]}, expected 3")
        if position + 5 > len(data):
            return
        length = int.from_bytes(data[position + 3 : position + 5], "big")
        if not 0 < length <= MAX_CLIENT_HELLO_BYTES:
            raise NotTls(f"a TLS record of {length} bytes")
        position += 5
        yield data[position : position + length]
        position += length


def _other_protocol(data: bytes) -> str:
    if data[0] == 0x10:
        return "plain MQTT on a TLS port; use the plain port, or switch TLS on"
    if data[:4] in _HTTP_BEGINNINGS:
        return "HTTP on a TLS port"
    return "not TLS"


def _parse_body(fields: "_Fields") -> ClientHello:
    fields.take(2 + 32)  # version and random
    fields.vector(1)  # session id
    listed = fields.vector(2)
    if len(listed) % 2:
        raise IndexError
    suites = tuple(
        int.from_bytes(listed[position : position + 2], "big")
        for position in range(0, len(listed), 2)
    )
    fields.vector(1)  # compression methods
    names_key = False
    if fields.more():
        extensions = _Fields(fields.vector(2))
        while extensions.more():
            kind = int.from_bytes(extensions.take(2), "big")
            extensions.vector(2)
            names_key = names_key or kind == _PRE_SHARED_KEY_EXTENSION
    return ClientHello(suites, names_key)


class _Fields:
    """Reads from the start; IndexError past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def more(self) -> bool:
        return self._position < len(self._data)

    def take(self, count: int) -> bytes:
        end = self._position + count
        if end > len(self._data):
            raise IndexError
        taken = self._data[self._position : end]
        self._position = end
        return taken

    def vector(self, length_bytes: int) -> bytes:
        return self.take(int.from_bytes(self.take(length_bytes), "big"))
