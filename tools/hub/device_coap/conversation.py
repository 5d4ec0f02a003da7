"""The messages of one peer (RFC 7252, section 4): each request is answered once, however often it
comes, and a response that goes alone is repeated until it is acknowledged.

The wire format is aiocoap's.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from aiocoap import Message
from aiocoap.error import UnparsableMessage
from aiocoap.numbers.codes import EMPTY, Code
from aiocoap.numbers.types import Type

# RFC 7252, 4.8: how long a message id means the same message, and how often what is repeated.
EXCHANGE_LIFETIME_S = 247.0
ACK_TIMEOUT_S = 2.0
ACK_RANDOM_FACTOR = 1.5
MAX_RETRANSMIT = 4
MAX_REMEMBERED = 128
MAX_SEPARATE = 16
_MAX_TOKEN_BYTES = 8
_HEADER_BYTES = 4


class Answer(NamedTuple):
    """A response; with `delay_ms` the request is acknowledged at once and answered later."""

    code: Code
    payload: bytes = b""
    delay_ms: int = 0


class Conversation:
    """`answer` is called once for each request, `send` with each datagram."""

    def __init__(self, answer: Callable[[Message], Answer], send: Callable[[bytes], None]) -> None:
        self._answer = answer
        self._send = send
        self._loop = asyncio.get_running_loop()
        # What each message id was answered with, and until when that counts.
        self._remembered: OrderedDict[int, tuple[float, bytes]] = OrderedDict()
        # Responses that go alone, by their message id.
        self._separate: dict[int, asyncio.TimerHandle] = {}
        self._last_id = random.randrange(65536)

    def received(self, datagram: bytes) -> None:
        """Take one datagram, whatever it is."""
        try:
            message = Message.decode(datagram)
            if not len(message.token) == datagram[0] & 0x0F <= _MAX_TOKEN_BYTES:
                raise UnparsableMessage("the token is cut off or too long")
        except (UnparsableMessage, ValueError):
            self._reject_unreadable(datagram)
            return
        if message.mtype in (Type.ACK, Type.RST):
            pending = self._separate.pop(message.mid, None)
            if pending is not None:
                pending.cancel()
        elif message.code.is_request():
            self._request(message)
        elif message.mtype is Type.CON:
            # A ping, or what only a client is sent.
            self._send(_plain(Type.RST, message.mid))

    def _reject_unreadable(self, datagram: bytes) -> None:
        is_confirmable = datagram[:1] and datagram[0] >> 4 == 0b0100
        if len(datagram) >= _HEADER_BYTES and is_confirmable:
            self._send(_plain(Type.RST, int.from_bytes(datagram[2:4], "big")))

    def _request(self, request: Message) -> None:
        now_s = self._loop.time()
        known = self._remembered.get(request.mid)
        if known is not None and known[0] > now_s:
            self._send(known[1])
            return
        answer = self._answer(request)
        response = Message(code=answer.code, payload=answer.payload)
        response.token = request.token
        if request.mtype is Type.CON and not answer.delay_ms:
            response.mtype, response.mid = Type.ACK, request.mid
            reply = response.encode()
        else:
            response.mtype = request.mtype
            response.mid = self._next_id()
            reply = response.encode()
            if request.mtype is Type.CON:
                self._send_separately(response.mid, reply, answer.delay_ms / 1000)
                reply = _plain(Type.ACK, request.mid)
        self._remembered[request.mid] = now_s + EXCHANGE_LIFETIME_S, reply
        self._remembered.move_to_end(request.mid)
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        self._send(reply)

    def _send_separately(self, message_id: int, datagram: bytes, delay_s: float) -> None:
        if len(self._separate) >= MAX_SEPARATE:
            return
        wait_s = ACK_TIMEOUT_S * random.uniform(1, ACK_RANDOM_FACTOR)

        def send(tries_left: int, wait_s: float) -> None:
            del self._separate[message_id]
            self._send(datagram)
            if tries_left:
                self._separate[message_id] = self._loop.call_later(
                    wait_s, send, tries_left - 1, 2 * wait_s
                )

        self._separate[message_id] = self._loop.call_later(delay_s, send, MAX_RETRANSMIT, wait_s)

    def _next_id(self) -> int:
        self._last_id = (self._last_id + 1) % 65536
        return self._last_id


def _plain(kind: Type, message_id: int) -> bytes:
    """An empty message: an acknowledgement or a rejection."""
    message = Message(code=EMPTY)
    message.mtype, message.mid = kind, message_id
    return message.encode()
