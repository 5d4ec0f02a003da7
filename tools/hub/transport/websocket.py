"""MQTT in binary WebSocket frames (MQTT 3.1.1 section 6, RFC 6455), by the websockets library."""

from urllib.parse import urlsplit

from websockets.exceptions import InvalidState
from websockets.frames import BINARY, CLOSE, CONT, TEXT, CloseCode, Frame
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from tools.hub.transport.stream import Stream, StreamBroken

# The vendor's C SDK asks for the first, its Python SDK (paho) for the second.
PATHS = ("/", "/mqtt")
SUBPROTOCOL = Subprotocol("mqtt")
# One message may hold many packets: MQTT reads them as one stream of bytes.
MAX_MESSAGE_BYTES = 256 * 1024
_READ_BYTES = 16 * 1024
_SHOWN_CHARS = 64


async def open_websocket(below: Stream) -> Stream:
    """The stream inside, after the upgrade. Raises StreamBroken or another OSError."""
    protocol = ServerProtocol(subprotocols=[SUBPROTOCOL], max_size=MAX_MESSAGE_BYTES)
    stream = WebSocketStream(below, protocol)
    request = await stream.next_event()
    if not isinstance(request, Request):
        reason = protocol.handshake_exc or "the client closed the connection"
        raise StreamBroken(f"no WebSocket request: {reason}")
    path = urlsplit(request.path).path
    if path in PATHS:
        response = protocol.accept(request)
        refusal = str(protocol.handshake_exc)
    else:
        refusal = f"no MQTT at {path[:_SHOWN_CHARS]}, only at {' and '.join(PATHS)}"
        response = protocol.reject(404, refusal + "\n")
    protocol.send_response(response)
    stream.flush()
    if protocol.state is not OPEN:
        raise StreamBroken(f"WebSocket refused with {response.status_code}: {refusal}")
    return stream


class WebSocketStream:
    """The bytes of binary frames, whatever their borders. Pings are answered on the way."""

    def __init__(self, below: Stream, protocol: ServerProtocol) -> None:
        self._below = below
        self._protocol = protocol
        self._events: list[Request | Response | Frame] = []
        self._ended = False
        self.peer = below.peer
        self.proof = below.proof

    async def next_event(self) -> Request | Response | Frame | None:
        """What comes next from the client; None at the end."""
        while not self._events:
            if self._ended:
                return None
            data = await self._below.read(_READ_BYTES)
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            self._ended = not data or self._protocol.close_expected()
            self._events += self._protocol.events_received()
            self.flush()
        return self._events.pop(0)

    async def read(self, limit: int) -> bytes:
        while isinstance(frame := await self.next_event(), Frame) and frame.opcode is not CLOSE:
            if frame.opcode is TEXT:
                self._protocol.fail(CloseCode.UNSUPPORTED_DATA, "MQTT comes in binary frames")
                self.flush()
                raise StreamBroken("WebSocket: a text frame; MQTT comes in binary ones")
            if frame.opcode in (BINARY, CONT) and frame.data:
                return bytes(frame.data)
        fault = self._protocol.parser_exc
        if fault is not None and not isinstance(fault, EOFError):
            raise StreamBroken(f"WebSocket: {fault}")
        return b""

    def write(self, data: bytes) -> None:
        try:
            self._protocol.send_binary(data)
        except InvalidState:
            return  # closing already: nobody reads it
        self.flush()

    def flush(self) -> None:
        """Hand down what the protocol has to say."""
        # An empty piece asks to end the sending side; whoever closes the stream does that.
        for data in filter(None, self._protocol.data_to_send()):
            self._below.write(data)

    def unsent_bytes(self) -> int:
        return self._below.unsent_bytes()

    async def drain(self) -> None:
        await self._below.drain()

    def close(self) -> None:
        if self._protocol.state is OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self.flush()
        self._below.close()

    def abort(self) -> None:
        self._below.abort()
