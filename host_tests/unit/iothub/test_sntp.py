from iothub.codec import sntp
from iothub.errors import ProtocolError

from host_tests.unit.iothub.expect import raises

NONCE = b"\x01\x02\x03\x04\x05\x06\x07\x08"
# 2026-11-22 00:00:00 UTC, in the seconds of RFC 4330 (since 1900) and of Unix.
NTP_S = 4004294400
UNIX_S = 1795305600


def _answer(ntp_s=NTP_S, nonce=NONCE, first=0x24, stratum=2, fraction=0x80000000):
    """An answer as RFC 4330 section 4 lays it out: version 4, mode 4 (server)."""
    return (
        bytes((first, stratum, 6, 0xEC))
        + bytes(12)  # root delay, root dispersion, reference identifier
        + (NTP_S - 60).to_bytes(4, "big")  # reference timestamp
        + bytes(4)
        + nonce  # originate timestamp: what the client sent as its transmit timestamp
        + (NTP_S - 1).to_bytes(4, "big")  # receive timestamp
        + bytes(4)
        + (ntp_s & 0xFFFFFFFF).to_bytes(4, "big")  # transmit timestamp
        + fraction.to_bytes(4, "big")
    )


def _refused(packet):
    return raises(ProtocolError, sntp.answer, packet, NONCE).reason


def test_the_request_is_of_version_4_and_carries_the_nonce_as_its_time():
    request = sntp.request(NONCE)
    assert len(request) == sntp.PACKET_BYTES == 48
    assert request[0] == 0x23  # no leap warning, version 4, mode 3 (client)
    assert request[1:40] == bytes(39)
    assert request[40:] == NONCE


def test_the_answer_is_the_time_the_server_sent_it():
    assert sntp.answer(_answer(), NONCE) == UNIX_S
    assert sntp.answer(_answer(fraction=0xFFFFFFFF), NONCE) == UNIX_S


def test_versions_and_strata_that_servers_use():
    for first in (0x1C, 0x24, 0x64, 0xA4):  # version 3; version 4; leap second ahead, or behind
        assert sntp.answer(_answer(first=first), NONCE) == UNIX_S
    for stratum in (1, 2, 15):
        assert sntp.answer(_answer(stratum=stratum), NONCE) == UNIX_S


def test_what_follows_the_packet_is_ignored():
    assert sntp.answer(_answer() + bytes(20), NONCE) == UNIX_S  # a key and a digest


def test_the_seconds_wrap_in_2036():
    # RFC 4330 section 3: with the first bit clear it is 2036 or later.
    last = 0xFFFFFFFF
    assert sntp.answer(_answer(last), NONCE) == 2085978495
    assert sntp.answer(_answer(last + 2), NONCE) == 2085978497
    assert sntp.answer(_answer(0x80000000), NONCE) == -61505152  # 1968, below every floor


def test_an_answer_to_somebody_else_is_none():
    for packet in (
        b"",
        _answer()[:47],
        _answer(nonce=bytes(8)),
        _answer(nonce=NONCE[:7] + b"\x09"),
        _answer(first=0x23),  # a request
        _answer(first=0x25),  # a broadcast
        sntp.request(NONCE),
    ):
        assert _refused(packet) == "sntp: not an answer to our request"


def test_a_server_without_the_time_is_not_believed():
    for packet in (
        _answer(stratum=0),  # "kiss of death": go away
        _answer(stratum=16),  # unsynchronised
        _answer(stratum=255),
        _answer(first=0xE4),  # alarm: clock not synchronised
        _answer(0),
    ):
        assert _refused(packet) == "sntp: the server has no time itself"
