"""TLS over a stream: the ClientHello decides between a certificate and a pre-shared key."""

import ssl
from collections.abc import Sequence

from tools.hub.transport import openssl
from tools.hub.transport.client_hello import (
    MAX_CLIENT_HELLO_BYTES,
    ClientHello,
    NotTls,
    parse_client_hello,
)
from tools.hub.transport.engine import Engine, FindKey, TlsFailed
from tools.hub.transport.stream import Proof, Stream, StreamBroken

_READ_BYTES = 16 * 1024
# Headers included, for a ClientHello cut into many small records.
MAX_OPENING_BYTES = 2 * MAX_CLIENT_HELLO_BYTES


class TlsServer:
    """Opens TLS on streams. One port serves both kinds of client."""

    def __init__(
        self,
        context: ssl.SSLContext,
        find_key: FindKey,
        authorities: Sequence[bytes] = (),
    ) -> None:
        """`authorities` (DER) are trusted beside the context's; it may grow meanwhile."""
        self._context = context
        self._find_key = find_key
        self._authorities = authorities
        self._trusted = 0

    async def open(self, below: Stream) -> Stream:
        """The stream inside, after the handshake. Raises StreamBroken or another OSError."""
        received, hello = await _read_hello(below)
        stream = TlsStream(below, self._engine(hello))
        await stream.shake_hands(received)
        return stream

    def _engine(self, hello: ClientHello) -> Engine:
        if not hello.wants_psk:
            for authority in self._authorities[self._trusted :]:
                self._context.load_verify_locations(cadata=authority)
            self._trusted = len(self._authorities)
            return openssl.OpenSslEngine(self._context)
        if openssl.HAS_PSK:
            return openssl.PskEngine(self._find_key)
        try:
            from tools.hub.transport.psk_mbedtls import PskEngine
        except ImportError:
            raise StreamBroken(
                "a pre-shared key is asked for, and this Python has none: use 3.13 or newer, "
                "or install python-mbedtls"
            ) from None
        return PskEngine(self._find_key)


async def _read_hello(below: Stream) -> tuple[bytes, ClientHello]:
    received = b""
    while True:
        data = await below.read(_READ_BYTES)
        if not data:
            raise StreamBroken(
                f"closed {len(received)} bytes into the ClientHello"
                if received
                else "no TLS spoken"
            )
        received += data
        try:
            hello = parse_client_hello(received)
        except NotTls as error:
            raise StreamBroken(str(error)) from None
        if hello is not None:
            return received, hello
        if len(received) > MAX_OPENING_BYTES:
            raise StreamBroken(f"no whole ClientHello in {MAX_OPENING_BYTES} bytes")


class TlsStream:
    """Plaintext above, an engine between, another stream below."""

    def __init__(self, below: Stream, engine: Engine) -> None:
        self._below = below
        self._engine = engine
        self._ended = False
        self.peer = below.peer
        self.proof: Proof | None = None

    async def shake_hands(self, received: bytes) -> None:
        """Complete the handshake that `received` began. Raises StreamBroken."""
        while True:
            self._engine.feed(received)
            try:
                done = self._engine.shake_hands()
            except TlsFailed as error:
                raise StreamBroken(f"TLS handshake: {error}") from None
            finally:
                self._flush()
            if done:
                break
            received = await self._below.read(_READ_BYTES)
            if not received:
                raise StreamBroken("the client closed the connection during the TLS handshake")
        self.proof = self._engine.proof()

    async def read(self, limit: int) -> bytes:
        while not self._ended:
            try:
                data = self._engine.decrypt()
            except TlsFailed as error:
                self._ended = True
                raise StreamBroken(f"TLS: {error}") from None
            finally:
                self._flush()
            if data is None:
                self._ended = True
            elif data:
                return data
            else:
                received = await self._below.read(min(limit, _READ_BYTES))
                self._ended = not received
                self._engine.feed(received)
        return b""

    def write(self, data: bytes) -> None:
        try:
            self._engine.encrypt(data)
        except TlsFailed:
            # What is broken here shows at the next read.
            self._below.abort()
        self._flush()

    def _flush(self) -> None:
        data = self._engine.outgoing()
        if data:
            self._below.write(data)

    def unsent_bytes(self) -> int:
        return self._below.unsent_bytes()

    async def drain(self) -> None:
        await self._below.drain()

    def close(self) -> None:
        self._engine.say_goodbye()
        self._flush()
        self._below.close()

    def abort(self) -> None:
        self._below.abort()
