"""Telling a pre-shared key from a certificate by a client's first message."""

import ssl
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.hub.transport.client_hello import (
    MAX_CLIENT_HELLO_BYTES,
    ClientHello,
    NotTls,
    parse_client_hello,
)

PSK, PSK_256, RSA, ECDHE, TLS13, SCSV, GREASE = 0x8C, 0x8D, 0x2F, 0xC02B, 0x1301, 0xFF, 0x1A1A
PRE_SHARED_KEY, SERVER_NAME = 41, 0


def hello(suites, extensions=None, record_bytes=16384) -> bytes:
    """A ClientHello in records of at most so many bytes."""
    listed = b"".join(struct.pack(">H", suite) for suite in suites)
    body = b"\3\3" + bytes(32) + b"\0" + struct.pack(">H", len(listed)) + listed + b"\1\0"
    if extensions is not None:
        packed = b"".join(struct.pack(">HH", kind, len(d)) + d for kind, d in extensions)
        body += struct.pack(">H", len(packed)) + packed
    message = b"\1" + len(body).to_bytes(3, "big") + body
    records = b""
    for start in range(0, len(message), record_bytes):
        piece = message[start : start + record_bytes]
        records += b"\x16\3\1" + struct.pack(">H", len(piece)) + piece
    return records


def pythons_hello() -> bytes:
    out = ssl.MemoryBIO()
    session = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="hub")
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return out.read()


@pytest.mark.parametrize(
    ("suites", "extensions", "psk"),
    [
        ([PSK, PSK_256, RSA], None, True),  # the vendor's C SDK with a key
        ([ECDHE, RSA, PSK], [], False),  # and with a certificate: all its library knows
        ([TLS13, PSK, ECDHE], [], True),
        ([SCSV, GREASE, 0x5600, PSK], [], True),
        ([GREASE, TLS13, ECDHE, PSK], [], False),
        ([TLS13, ECDHE, PSK], [(SERVER_NAME, b"x"), (PRE_SHARED_KEY, b"")], True),
        ([TLS13], [], False),
        ([], None, False),
        ([0xC037], None, True),
        ([0xCCAC], None, True),
        ([0xD001], None, True),
        ([0xC0A0], None, False),
    ],
)
def test_what_a_client_wants(suites, extensions, psk):
    parsed = parse_client_hello(hello(suites, extensions))
    assert parsed is not None and parsed.suites == tuple(suites)
    assert parsed.wants_psk is psk


def test_a_real_client_wants_a_certificate():
    parsed = parse_client_hello(pythons_hello())
    assert parsed is not None and not parsed.wants_psk and 0x1302 in parsed.suites


@pytest.mark.parametrize("record_bytes", [1, 3, 100, 16384])
def test_every_cut_is_incomplete_and_the_whole_is_not(record_bytes):
    data = hello([PSK, RSA], [(SERVER_NAME, bytes(40))], record_bytes)
    for end in range(len(data)):
        assert parse_client_hello(data[:end]) is None
    assert parse_client_hello(data) == ClientHello((PSK, RSA), False)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x10", "plain MQTT"),
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"\0", "not TLS"),
        (b"\x80\x2e\x01\x03\x01", "not TLS"),  # the hello of SSL 2
        (b"\x16\2", "version 2"),
        (b"\x16\3\1\0\0", "record of 0 bytes"),
        (b"\x16\3\1\xff\xff", "record of 65535 bytes"),
        (b"\x16\3\1\0\1\2", "no ClientHello"),
        (b"\x16\3\1\0\4\1\xff\xff\xff", "at most"),
        (b"\x16\3\1\0\4\1\0\0\0", "contradicts"),
        (b"\x16\3\1\0\2\1\0\x15\3", "no handshake"),
    ],
)
def test_what_is_no_tls_is_told(data, words):
    with pytest.raises(NotTls, match=words):
        parse_client_hello(data)


def test_lengths_that_lie_raise_nothing_else():
    refused = 0
    good = hello([PSK, RSA], [(SERVER_NAME, b"abc")])
    for position in range(43, len(good)):
        for value in (0, 1, 0x7F, 0xFF):
            bad = good[:position] + bytes([value]) + good[position + 1 :]
            try:
                parse_client_hello(bad)
            except NotTls:
                refused += 1
    assert refused > 10


@settings(max_examples=2000, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 120), st.binary(max_size=8))
def test_garbage_is_refused_or_incomplete_and_never_another_error(data, position, patch):
    good = hello([PSK, RSA], [(SERVER_NAME, b"abc"), (PRE_SHARED_KEY, b"\0")])
    patched = good[:position] + patch + good[position + len(patch) :]
    for candidate in (data, b"\x16\3\1" + data, patched):
        try:
            parsed = parse_client_hello(candidate)
        except NotTls as error:
            assert str(error)
        else:
            assert parsed is None or isinstance(parsed, ClientHello)


def test_an_endless_hello_is_cut_by_its_length():
    length = (MAX_CLIENT_HELLO_BYTES + 1).to_bytes(3, "big")
    with pytest.raises(NotTls, match="16385 bytes"):
        parse_client_hello(b"\x16\3\1\0\4\1" + length)
