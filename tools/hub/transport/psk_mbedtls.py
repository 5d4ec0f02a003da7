"""TLS by pre-shared key through Mbed TLS, where Python's own ssl has none (before 3.13)."""

from collections.abc import Iterator, Mapping

from mbedtls.exceptions import TLSError
from mbedtls.tls import (
    HandshakeStep,
    RaggedEOF,
    ServerContext,
    TLSConfiguration,
    TLSVersion,
    WantReadError,
    WantWriteError,
    ciphers_available,
)

from tools.hub.transport.engine import MAX_RECORD_BYTES, FindKey, TlsFailed
from tools.hub.transport.stream import Proof

# The library's own buffers hold 32 KiB each way.
_FEED_BYTES = 16 * 1024
_OUTGOING_BYTES = 64 * 1024
_CLOSE_NOTIFY = "0x7880"
# Not DHE-PSK: the library lets nobody give it the parameters that needs.
_KINDS = ("TLS-PSK-WITH-AES-", "TLS-ECDHE-PSK-WITH-AES-")


class Keys(Mapping[str, bytes]):
    """The devices' keys as the mapping the library wants; remembers who was asked for."""

    def __init__(self, find_key: FindKey) -> None:
        self._find_key = find_key
        self.asked: str | None = None

    def __getitem__(self, identity: str) -> bytes:
        self.asked = identity
        key = self._find_key(identity)
        if key is None:
            raise KeyError(identity)
        return key

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class PskEngine:
    """One session over memory instead of a socket."""

    def __init__(self, find_key: FindKey) -> None:
        self._keys = Keys(find_key)
        configuration = TLSConfiguration(
            validate_certificates=False,
            ciphers=tuple(name for name in ciphers_available() if name.startswith(_KINDS)),
            lowest_supported_version=TLSVersion.TLSv1_2,
            highest_supported_version=TLSVersion.TLSv1_2,
            pre_shared_key_store=self._keys,
        )
        self._session = ServerContext(configuration).wrap_buffers()
        self._waiting = b""
        self._outgoing: list[bytes] = []
        # The library resets a session that failed or was closed: it is not to be touched again.
        self._over = False

    def feed(self, data: bytes) -> None:
        self._waiting += data

    def _feed_some(self) -> bool:
        """Hand on as much as surely fits; False when there is nothing."""
        some, self._waiting = self._waiting[:_FEED_BYTES], self._waiting[_FEED_BYTES:]
        if some:
            self._session.receive_from_network(some)
        return bool(some)

    def outgoing(self) -> bytes:
        self._take_outgoing()
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    def _take_outgoing(self) -> None:
        data = bytes(self._session.peek_outgoing(_OUTGOING_BYTES))
        self._session.consume_outgoing(len(data))
        if data:
            self._outgoing.append(data)

    def shake_hands(self) -> bool:
        # The library's own socket class asks for the state in the same way.
        while self._session._handshake_state is not HandshakeStep.HANDSHAKE_OVER:
            try:
                self._session.do_handshake()
            except WantReadError:
                if not self._feed_some():
                    return False
            except WantWriteError:
                self._take_outgoing()
            except TLSError as error:
                self._over = True
                raise TlsFailed(explain(error, self._keys.asked)) from None
        return True

    def proof(self) -> Proof | None:
        return None if self._keys.asked is None else Proof(self._keys.asked)

    def decrypt(self) -> bytes | None:
        pieces: list[bytes] = []
        buffer = bytearray(MAX_RECORD_BYTES)
        while not self._over:
            try:
                # Its stubs say bytes, which nothing can be read into.
                count = self._session.readinto(buffer, len(buffer))  # type: ignore[arg-type]
                pieces.append(bytes(buffer[:count]))
            except WantReadError:
                if not self._feed_some():
                    return b"".join(pieces)
            except RaggedEOF:
                self._over = True
            except TLSError as error:
                self._over = True
                if _CLOSE_NOTIFY not in str(error):
                    raise TlsFailed(explain(error)) from None
        return b"".join(pieces) or None

    def encrypt(self, data: bytes) -> None:
        if self._over:
            return
        try:
            for start in range(0, len(data), MAX_RECORD_BYTES):
                self._session.write(data[start : start + MAX_RECORD_BYTES])
                self._take_outgoing()
        except TLSError as error:
            self._over = True
            raise TlsFailed(explain(error)) from None

    def say_goodbye(self) -> None:
        if not self._over:
            self._over = True
            self._session.shutdown()
            self._take_outgoing()


def explain(error: TLSError, identity: str | None = None) -> str:
    """Mbed TLS's sentence without its number, with whose key was asked for."""
    text = str(error.msg).removeprefix("SSL - ") if error.msg else str(error)
    return text if identity is None else f"{text} (identity {identity[:64]!r})"
