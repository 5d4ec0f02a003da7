"""SNTP (RFC 4330), the client's side, on bytes: one request, one answer. Pure.

Unauthenticated: good enough to tell whether a certificate is of this decade, and for nothing that
needs to be believed.
"""

from iothub.compat import const
from iothub.errors import ProtocolError

PACKET_BYTES = const(48)
_CLIENT_V4 = const(0x23)
_1900_TO_1970_S = 2208988800
_ERA_S = 4294967296  # the 32-bit seconds wrap in 2036


def request(nonce8):
    """The request (bytes). `nonce8`: 8 random bytes, which the answer must repeat."""
    return bytes((_CLIENT_V4,)) + bytes(39) + nonce8


def answer(packet, nonce8):
    """Unix time in seconds. Raises ProtocolError for what does not answer the request."""
    if len(packet) < PACKET_BYTES or packet[0] & 7 != 4 or packet[24:32] != nonce8:
        raise ProtocolError("sntp: not an answer to our request")
    if packet[0] >> 6 == 3 or not 1 <= packet[1] <= 15:
        raise ProtocolError("sntp: the server has no time itself")
    seconds = int.from_bytes(packet[40:44], "big")
    if not seconds:
        raise ProtocolError("sntp: the server has no time itself")
    if not seconds & 0x80000000:
        seconds += _ERA_S
    return seconds - _1900_TO_1970_S
